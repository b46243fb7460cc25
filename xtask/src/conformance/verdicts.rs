//! The reference: what the C module did, block by block.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::tap::{Counts, NO_BLOCK};

/// The name that a file's row has where it ran no block.
const RAN_NOTHING: &str = "-";

/// Per file, per block, the counts of the C module.
pub struct Verdicts {
    files: BTreeMap<String, BTreeMap<String, Counts>>,
}

impl Verdicts {
    /// Reads the table: columns file, block, ok, not_ok under one line of titles.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut files: BTreeMap<String, BTreeMap<String, Counts>> = BTreeMap::new();
        for (n, line) in text.lines().enumerate().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [file, block, ok, not_ok] = columns[..] else {
                bail!("line {}: not four columns", n + 1);
            };
            let counts = Counts { ok: ok.parse()?, not_ok: not_ok.parse()? };
            let blocks = files.entry(file.to_string()).or_default();
            if block != RAN_NOTHING {
                blocks.insert(block.to_string(), counts);
            }
        }
        Ok(Self { files })
    }

    /// The blocks of `file` that made checks, without those checks that name no block.
    pub fn blocks(&self, file: &str) -> BTreeMap<String, Counts> {
        let mut blocks = self.files.get(file).cloned().unwrap_or_default();
        blocks.remove(NO_BLOCK);
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_by_file() {
        let table = "file\tblock\tok\tnot_ok\na.t\tTEST 1\t4\t0\na.t\t(file)\t0\t2\nb.t\t-\t0\t0\n";
        let verdicts = Verdicts::parse(table).unwrap();
        let blocks = verdicts.blocks("a.t");
        assert_eq!(blocks.len(), 1);
        assert!(blocks["TEST 1"].pass());
        assert!(verdicts.blocks("b.t").is_empty() && verdicts.blocks("c.t").is_empty());
        assert!(Verdicts::parse("titles\na.t\tTEST 1\n").is_err());
    }
}

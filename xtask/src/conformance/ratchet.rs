//! The ratchet: files of lua-nginx-module's suite in which nothing that the C module passes may fail.
//!
//! One entry a line, `#` starts a comment:
//!
//! ```text
//! 092-eof.t
//! 020-subrequest.t: TEST 5   why this block is excused
//! ```
//!
//! An excused block that passes is an error too, so that no excuse outlives its reason, unless the
//! reason begins with "at times:".

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Whether `reason` excuses a block that fails now and then only.
pub fn only_at_times(reason: &str) -> bool {
    reason.starts_with("at times:")
}

/// The list, with the blocks that are excused and why.
pub struct Ratchet {
    files: Vec<String>,
    excused: BTreeMap<(String, String), String>,
}

impl Ratchet {
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut ratchet = Self { files: Vec::new(), excused: BTreeMap::new() };
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let Some((file, excuse)) = line.split_once(':') else {
                ratchet.files.push(line.to_string());
                continue;
            };
            let excuse = excuse.trim().strip_prefix("TEST ").unwrap_or_default();
            let (number, reason) = excuse.split_once(char::is_whitespace).unwrap_or_default();
            if number.parse::<u32>().is_err() || reason.trim().is_empty() {
                bail!("line {}: an excuse is \"file: TEST n reason\", not \"{line}\"", n + 1);
            }
            if !ratchet.files.iter().any(|listed| listed == file) {
                bail!("line {}: {file} is excused before it is listed", n + 1);
            }
            let key = (file.to_string(), format!("TEST {number}"));
            ratchet.excused.insert(key, reason.trim().to_string());
        }
        Ok(ratchet)
    }

    /// The files to run.
    pub fn files(&self) -> Vec<String> {
        self.files.clone()
    }

    /// Why `block` of `file` may fail; `None` where it may not.
    pub fn excuse(&self, file: &str, block: &str) -> Option<&str> {
        self.excused.get(&(file.to_string(), block.to_string())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_excuses() {
        let ratchet =
            Ratchet::parse("# all\na.t\n\nb.t # short\nb.t: TEST 12  needs cosockets\n").unwrap();
        assert_eq!(ratchet.files(), ["a.t", "b.t"]);
        assert_eq!(ratchet.excuse("b.t", "TEST 12"), Some("needs cosockets"));
        assert_eq!(ratchet.excuse("b.t", "TEST 1"), None);
    }

    #[test]
    fn an_excuse_needs_a_reason_and_a_listed_file() {
        for text in ["a.t\na.t: TEST 1\n", "a.t: TEST 1 why\n", "a.t\na.t: 1 why\n"] {
            assert!(Ratchet::parse(text).is_err(), "{text}");
        }
    }
}

//! A table of `t/abi/`: tab-separated, the columns named in the first line.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::paths;

/// The rows by the names of their columns.
pub struct Table(Vec<HashMap<String, String>>);

impl Table {
    /// Reads `t/abi/NAME`.
    ///
    /// Errors: no such file, or no rows in it.
    pub fn read(name: &str) -> Result<Table> {
        let path = paths::root().join("t/abi").join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = Table::parse(&text);
        ensure!(!table.0.is_empty(), "{} has no rows", path.display());
        Ok(table)
    }

    /// Every row has every column; what a short line lacks is empty.
    fn parse(text: &str) -> Table {
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let row = |line: &str| {
            let mut cells = line.split('\t');
            columns
                .iter()
                .map(|column| (column.to_string(), cells.next().unwrap_or_default().to_string()))
                .collect()
        };
        Table(lines.map(row).collect())
    }

    pub fn rows(&self) -> impl Iterator<Item = &HashMap<String, String>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_up_short_lines() {
        let table = Table::parse("a\tb\n1\t2\n3\n");
        let cells: Vec<_> = table.rows().map(|row| (&*row["a"], &*row["b"])).collect();
        assert_eq!(cells, [("1", "2"), ("3", "")]);
    }
}

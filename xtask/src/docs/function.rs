//! The functions of the Lua API: entries joined with the rows of `src/api/`.

use anyhow::{Result, bail};

use super::entry::{Entry, Family};
use super::phases::Where;
use crate::functions::Row;

/// A function, or a variable.
pub struct Function {
    pub name: String,
    /// Where it may be called.
    pub allowed: Where,
}

/// The functions of `families`.
///
/// Errors: an entry whose phases neither a row nor the entry tells, or both tell the same.
pub fn functions(families: &[Family], rows: &[Row]) -> Result<Vec<Function>> {
    let entries = families.iter().flat_map(|family| family.entry.iter().map(move |e| (family, e)));
    entries
        .map(|(family, entry)| {
            let mut found = rows_of(family, entry, rows);
            let allowed = match (found.next(), &entry.phases) {
                (Some(row), None) => row.allowed,
                (None, Some(words)) => Where::parse(words)?,
                // A method may be called where there can be such an object.
                (Some(row), Some(words)) => match Where::parse(words)? {
                    narrower if narrower.is_within(row.allowed) => narrower,
                    _ => bail!("{} has a row that tells its phases", entry.name),
                },
                (None, None) => bail!("{} has neither a row nor phases", entry.name),
            };
            if found.any(|row| row.allowed != allowed) && entry.phases.is_none() {
                bail!("{} has two rows that differ", entry.name);
            }
            Ok(Function { name: entry.name.clone(), allowed })
        })
        .collect()
}

/// The rows with the entry's name in the sources of its family.
pub fn rows_of<'r>(
    family: &Family,
    entry: &Entry,
    rows: &'r [Row],
) -> impl Iterator<Item = &'r Row> {
    let last = entry.name.rsplit(['.', ':']).next().unwrap_or_default();
    let name = entry.row.as_deref().unwrap_or(last).to_string();
    let sources = family.sources.clone();
    rows.iter().filter(move |row| row.name == name && sources.contains(&row.family))
}

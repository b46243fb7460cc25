//! The page `docs/migrate.md`: from the C module to this one, with all that differs.

use std::fmt::Write;

use super::entry::{Entry, Family};
use super::page::{MADE, link};

/// The page.
pub fn page(intro: &str, directives: &[Family], functions: &[Family]) -> String {
    let mut page = format!("# From the C module, and back\n\n{MADE}\n\n{}\n", intro.trim());
    for (title, file, families) in
        [("Directives", "directives.md", directives), ("Functions", "api.md", functions)]
    {
        let _ = write!(page, "\n### {title}\n\n| | unlike the C module |\n|---|---|\n");
        for entry in families.iter().flat_map(|family| &family.entry) {
            if let Some(unlike) = &entry.unlike {
                let _ = writeln!(page, "| {} | {} |", linked(entry, file), in_one_line(unlike));
            }
        }
    }
    page
}

fn linked(entry: &Entry, file: &str) -> String {
    format!("[{}]({file}{})", entry.name.replace('*', "\\*"), link(&entry.name))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_cell_of_a_table() {
        assert_eq!(in_one_line("one\ntwo  a|b\n"), "one two a\\|b");
    }
}

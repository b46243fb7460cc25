//! The pages are current and complete, and quote texts that the module writes.

use std::collections::BTreeSet;
use std::fs;

use super::entry::{Entry, Family, Message};
use super::{check, directives, entry, function, page};
use crate::setup::Group;
use crate::{functions, paths};

/// At least so many of a hundred entries of the API have an example with its answer.
const ASSERTED: usize = 60;

fn families() -> Vec<Family> {
    let mut families = entry::read("api").unwrap();
    families.extend(entry::read("directives").unwrap());
    families
}

fn entries(families: &[Family]) -> impl Iterator<Item = &Entry> {
    families.iter().flat_map(|family| &family.entry)
}

#[test]
fn the_pages_are_current() {
    check().unwrap();
}

#[test]
fn every_directive_has_one_entry() {
    let table = directives::table().unwrap();
    let families = entry::read("directives").unwrap();
    let mut described = Vec::new();
    for entry in entries(&families) {
        let rows = page::rows_of(entry, &table);
        assert!(!rows.is_empty(), "no directive is called {}", entry.name);
        for row in rows {
            let told_twice = row.default.is_some() && entry.default.is_some();
            assert!(!told_twice, "the table knows the default of {}", row.name);
            assert!(row.syntax.is_none() || entry.syntax.is_none(), "… the syntax of {}", row.name);
            described.push(row.name.as_str());
        }
    }
    let mut known: Vec<&str> = table.iter().map(|row| row.name.as_str()).collect();
    described.sort_unstable();
    known.sort_unstable();
    assert_eq!(described, known);
}

#[test]
fn every_function_has_an_entry() {
    let rows = functions::table().unwrap();
    let families = entry::read("api").unwrap();
    for row in &rows {
        let is_of = |family: &Family, entry: &Entry| {
            function::rows_of(family, entry, &rows).any(|found| found == row)
        };
        let has =
            families.iter().any(|family| family.entry.iter().any(|entry| is_of(family, entry)));
        assert!(has, "{} of src/api/{} has no entry in docs/source/api/", row.name, row.family);
    }
    let names: Vec<&str> = entries(&families).map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name stands twice");
}

#[test]
fn what_is_quoted_is_in_the_source() {
    let source = source();
    let families = families();
    for entry in entries(&families) {
        let messages = [&entry.errors, &entry.raises, &entry.logs].into_iter().flatten();
        for text in messages.map(Message::text) {
            assert!(source.contains(text), "{}: no source has {text:?}", entry.name);
        }
    }
}

/// All of `src/` and `lua/`, without what continues or escapes a literal, or names a value's type.
fn source() -> String {
    let mut source = String::new();
    for (dir, extension) in [("src", "rs"), ("lua", "lua"), ("crates/codec/src", "rs")] {
        for path in paths::below(&paths::root().join(dir), extension).unwrap() {
            source += &fs::read_to_string(path).unwrap();
        }
    }
    let lines: Vec<&str> = source.split("\\\n").collect();
    let joined: Vec<&str> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| if at == 0 { line } else { line.trim_start() })
        .collect();
    joined.concat().replace("\\\"", "\"")
}

#[test]
fn most_entries_of_the_api_have_an_example_with_its_answer() {
    let families = entry::read("api").unwrap();
    let all = entries(&families).count();
    let asserted = entries(&families).filter(|entry| entry.example.is_asserted()).count();
    assert!(asserted * 100 >= all * ASSERTED, "{asserted} of {all}");
}

#[test]
fn links_lead_to_headings() {
    let pages = super::pages().unwrap();
    let headings = |name: &str| -> BTreeSet<String> {
        let (_, page) = pages.iter().find(|(page, _)| *page == name).expect(name);
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(page::anchor).collect()
    };
    for (name, page) in &pages {
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if let Some((file, anchor)) = link.split_once('#') {
                let file = if file.is_empty() { name } else { file };
                assert!(headings(file).contains(anchor), "{name} has a link to {link}");
            }
        }
    }
}

#[test]
fn the_packages_that_commands_install_are_named() {
    let page = fs::read_to_string(paths::root().join("docs/install.md")).unwrap();
    let groups = [Group::Build, Group::Run, Group::Package, Group::Test, Group::Services];
    for package in groups.iter().flat_map(|group| group.packages()) {
        assert!(page.contains(&format!("`{package}`")), "docs/install.md does not name {package}");
    }
}

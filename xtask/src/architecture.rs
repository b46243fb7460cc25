//! ARCHITECTURE.md, read against the tree: what it names exists, and every folder at the root and in `crates/` is
//! named.

use std::fs;
use std::path::Path;

use crate::paths;

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The paths that `text` names and that are not there. A path may begin at the root, in `src/` or in a folder
/// that is named before it.
fn missing(text: &str, exists: impl Fn(&Path) -> bool) -> Vec<&str> {
    let is_path = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        word.contains('/') && word.chars().all(is_plain) && !word.starts_with("target/")
    };
    let mut folders = vec![Path::new(""), Path::new("src"), Path::new("nginx-tests")];
    let mut missing = Vec::new();
    for word in quoted(text).into_iter().filter(is_path) {
        match folders.iter().rev().find(|folder| exists(&folder.join(word))) {
            Some(folder) if folder.as_os_str().is_empty() => folders.push(Path::new(word)),
            Some(_) => {}
            None => missing.push(word),
        }
    }
    missing
}

/// The folders of `root` that developers see, by their names with a slash.
fn folders(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.') && name != "target").map(|name| name + "/").collect()
}

#[test]
fn what_the_architecture_names_exists() {
    let text = fs::read_to_string(paths::root().join("ARCHITECTURE.md")).unwrap();
    assert_eq!(missing(&text, |path| paths::root().join(path).exists()), Vec::<&str>::new());
}

#[test]
fn every_folder_is_in_the_architecture() {
    let text = fs::read_to_string(paths::root().join("ARCHITECTURE.md")).unwrap();
    let crates =
        folders(&paths::root().join("crates")).into_iter().map(|name| format!("crates/{name}"));
    let all: Vec<String> = folders(&paths::root())
        .into_iter()
        .filter(|name| name != "crates/")
        .chain(crates)
        .collect();
    assert!(all.len() > 10, "{all:?} are not all folders");
    for folder in all {
        assert!(quoted(&text).contains(&folder.as_str()), "ARCHITECTURE.md does not name {folder}");
    }
}

#[test]
fn a_name_of_nothing_is_found() {
    let there = ["t/", "src/lua/vm.rs", "benches/results.tsv", "t/abi/"];
    let exists = |path: &Path| there.iter().any(|there| Path::new(there) == path);
    let text = "`t/` has `abi/` and `t/abi/`\n`lua/vm.rs`, `cargo xtask ci` and `target/x/y` are `a / b`\n`src/gone.rs`";
    assert_eq!(missing(text, exists), ["src/gone.rs"]);
}

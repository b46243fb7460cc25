//! The layers of `src/`, checked by tests: imports between layers run one way, no two files of
//! different layers import each other, and nginx's own types stay in the layer that wraps them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::paths;

/// The layers, lowest first. A layer may import itself and those before it. (`crates/codec`, below
/// them all, is a package of its own.)
const LAYERS: &[&str] = &["nginx", "lua", "config", "runtime", "api", "phase", "module"];

/// Each file of `src/`, by its path below that, with its text.
pub type Files = BTreeMap<String, String>;

/// The paths that `text` names from the crate's root on, without the root: `["nginx", "http", …]`.
fn crate_paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in statements(text) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("crate::") {
            let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            rest = &rest[at + "crate::".len()..];
            if !is_word {
                expand(rest, &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// The lines of `text` without comments; a `use` that takes several lines is one.
pub fn statements(text: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let code = line.trim();
        if code.starts_with("//") {
            continue;
        }
        match statements.last_mut().filter(|_| open) {
            Some(last) => last.push_str(code),
            None => statements.push(code.to_string()),
        }
        let is_use = |line: &String| line.starts_with("use ") || line.starts_with("pub use ");
        open = statements.last().is_some_and(|line| is_use(line) && !line.ends_with(';'));
    }
    statements
}

/// Adds the paths that begin `text`, a tree of imports or one path, below `prefix` to `found`; gives
/// what follows them.
fn expand<'t>(text: &'t str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest.trim_start(), prefix, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                _ => break,
            }
        }
        return rest.trim_start_matches(',').trim_start().strip_prefix('}').unwrap_or(rest);
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    prefix.push(word.to_string());
    let rest = match rest.strip_prefix("::") {
        Some(more) => expand(more, prefix, found),
        None => {
            found.push(prefix.clone());
            rest
        }
    };
    prefix.pop();
    let rest = rest.trim_start();
    match rest.strip_prefix("as ") {
        Some(alias) => alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest,
    }
}

fn layer(file: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| file.starts_with(&format!("{layer}/")))
}

/// Every import that runs up.
fn upward(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files {
        let Some(here) = layer(file) else { continue };
        for path in crate_paths(text) {
            let there = path.first().and_then(|name| LAYERS.iter().position(|layer| layer == name));
            if there.is_some_and(|there| there > here) {
                wrong.push(format!("src/{file} names crate::{}", path.join("::")));
            }
        }
    }
    wrong
}

/// The file that `path` leads into.
fn file_of<'f>(path: &[String], files: &'f Files) -> Option<&'f str> {
    (1..=path.len()).rev().find_map(|len| {
        let base = path.get(..len)?.join("/");
        [format!("{base}.rs"), format!("{base}/mod.rs")]
            .iter()
            .find_map(|name| files.get_key_value(name).map(|(name, _)| name.as_str()))
    })
}

/// All pairs of files of different layers that import each other.
fn mutual(files: &Files) -> Vec<String> {
    let imports: BTreeMap<&str, Vec<&str>> = files
        .iter()
        .map(|(file, text)| {
            let targets =
                crate_paths(text).iter().filter_map(|path| file_of(path, files)).collect();
            (file.as_str(), targets)
        })
        .collect();
    let mut wrong = Vec::new();
    for (file, targets) in &imports {
        for target in targets {
            let back = imports.get(target).is_some_and(|back| back.contains(file));
            if back && file < target && layer(file) != layer(target) {
                wrong.push(format!("src/{file} and src/{target} import each other"));
            }
        }
    }
    wrong
}

/// Every file that uses nginx's C API, except those of the layer that wraps it, and the exports.
fn raw_types(files: &Files) -> Vec<String> {
    files
        .iter()
        .filter(|(file, _)| !file.starts_with("nginx/") && !file.ends_with("/ffi.rs"))
        .filter(|(_, text)| {
            crate_paths(text).iter().any(|path| path.starts_with(&RAW.map(Into::into)))
        })
        .map(|(file, _)| format!("src/{file} names crate::nginx::sys"))
        .collect()
}

const RAW: [&str; 2] = ["nginx", "sys"];

pub fn sources() -> Files {
    let src = paths::root().join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let files: Files = paths::below(&src, "rs").unwrap().into_iter().map(read).collect();
    assert!(files.len() > 100, "{} files are not all of src/", files.len());
    files
}

pub fn made_up(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect()
}

#[test]
fn no_import_runs_up() {
    assert_eq!(upward(&sources()), Vec::<String>::new());
}

#[test]
fn no_two_layers_import_each_other_by_one_file() {
    assert_eq!(mutual(&sources()), Vec::<String>::new());
}

#[test]
fn nginx_s_own_types_stay_in_its_layer() {
    assert_eq!(raw_types(&sources()), Vec::<String>::new());
}

#[test]
fn every_folder_of_src_is_a_layer() {
    for file in sources().keys() {
        assert!(file == "lib.rs" || layer(file).is_some(), "src/{file}");
    }
}

#[test]
fn an_import_that_runs_up_is_found() {
    let text = "use std::rc::Rc;\nuse crate::{\n    nginx::{Request, http::send},\n    phase::content as c,\n};\n";
    let files = made_up(&[("runtime/output.rs", text), ("api/log.rs", "use crate::nginx::Level;")]);
    assert_eq!(upward(&files), ["src/runtime/output.rs names crate::phase::content"]);
    let files = made_up(&[("nginx/core/log.rs", "fn f() { let x = crate::lua::State::new(); }")]);
    assert_eq!(upward(&files), ["src/nginx/core/log.rs names crate::lua::State::new"]);
    let files = made_up(&[("nginx/core/log.rs", "// crate::phase\n/// [`crate::api`]\n")]);
    assert!(upward(&files).is_empty());
}

#[test]
fn files_that_import_each_other_are_found() {
    let files = made_up(&[
        ("api/a.rs", "use crate::runtime::b::B;"),
        ("runtime/b.rs", "use crate::api::a;"),
        ("runtime/c.rs", "use crate::runtime::b::{self};"),
    ]);
    assert_eq!(mutual(&files), ["src/api/a.rs and src/runtime/b.rs import each other"]);
}

#[test]
fn types_of_nginx_s_outside_its_layer_are_found() {
    let text = "use crate::nginx::{Level, sys::ngx_str_t};";
    let files = made_up(&[("api/x/mod.rs", text), ("api/x/ffi.rs", text), ("nginx/y.rs", text)]);
    assert_eq!(raw_types(&files), ["src/api/x/mod.rs names crate::nginx::sys"]);
}

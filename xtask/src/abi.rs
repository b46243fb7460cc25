//! `cargo xtask abi`: compares the C symbols and structures of the built module with the tables
//! in `t/abi/`.
//!
//! Every symbol of the release that this module replaces must be exported, and those of newer
//! releases that the table marks as present; no symbol that is not in a table may be. Structures
//! are found in the module's debug information.

mod layout;
mod table;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol};

use crate::build;
use crate::options::{Build, Nginx};
use crate::setup::{self, Group};
use table::Table;

/// The prefix of what lua-resty-core calls in this module.
const PREFIX: &str = "ngx_http_lua_";

/// Runs `cargo xtask abi`, on a debug build, which has the debug information.
///
/// Errors: a symbol is missing or unknown, or a structure is laid out differently.
pub fn check(nginx: Nginx) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    let module = build::build(&Build { nginx, ..Build::default() })?.module;
    let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let object = object::File::parse(&*bytes)?;

    let mut faults = check_symbols(&exported(&object)?)?;
    faults.extend(layout::check(&object)?);
    for fault in &faults {
        println!("FAULT {fault}");
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!("{count} faults in the C surface"),
    }
}

/// The names of the functions that the module exports.
fn exported<'a>(object: &object::File<'a>) -> Result<BTreeSet<&'a str>> {
    let mut names = BTreeSet::new();
    for symbol in object.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        names.insert(symbol.name()?);
    }
    Ok(names)
}

/// Compares the exported symbols with the tables and prints a summary. Returns the faults.
fn check_symbols(exported: &BTreeSet<&str>) -> Result<Vec<String>> {
    let (ffi, c_api) = (Table::read("ffi_abi.tsv")?, Table::read("c_api.tsv")?);
    let symbols = ffi.rows().map(|row| (&row["symbol"], row));
    let functions = c_api.rows().filter(|row| row["kind"] == "function");
    let (mut due, mut newer) = (BTreeSet::new(), BTreeSet::new());
    for (name, row) in symbols.chain(functions.map(|row| (&row["name"], row))) {
        let condition = row.get("build_condition").map_or("", String::as_str);
        let is_due = is_promised(&row["in_0.10.23"]) && is_ours(name, condition);
        let list = if is_due { &mut due } else { &mut newer };
        list.insert(name.clone());
    }

    let mut faults = Vec::new();
    for name in due.iter().filter(|name| !exported.contains(name.as_str())) {
        faults.push(format!("{name} is not exported"));
    }
    for name in exported.iter().filter(|name| name.starts_with(PREFIX)) {
        if !due.contains(*name) && !newer.contains(*name) && *name != "ngx_http_lua_module" {
            faults.push(format!("{name} is exported, but in no table"));
        }
    }
    println!("{} of {} symbols exported", due.len() - missing(&due, exported), due.len());
    println!("symbols of newer releases and other systems that are not built:");
    let others = newer.iter().filter(|name| name.starts_with(PREFIX));
    for name in others.filter(|name| !exported.contains(name.as_str())) {
        println!("    {name}");
    }
    Ok(faults)
}

/// Whether a table's entry must be in this module: the release that it replaces has it, or it was
/// taken over from a newer one.
fn is_promised(in_own_release: &str) -> bool {
    in_own_release.starts_with("yes") || in_own_release.ends_with(", here")
}

fn missing(due: &BTreeSet<String>, exported: &BTreeSet<&str>) -> usize {
    due.iter().filter(|name| !exported.contains(name.as_str())).count()
}

/// Whether the symbol is this module's to export on this system, not another library's.
fn is_ours(symbol: &str, build_condition: &str) -> bool {
    symbol.starts_with(PREFIX) && !build_condition.contains("NGX_DARWIN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn names_what_is_missing_and_what_is_unknown() {
        let exported = BTreeSet::from(["ngx_http_lua_ffi_now", "ngx_http_lua_ffi_typo", "other"]);
        let faults = check_symbols(&exported).unwrap();
        assert!(faults.contains(&"ngx_http_lua_ffi_time is not exported".into()));
        assert!(faults.contains(&"ngx_http_lua_ffi_typo is exported, but in no table".into()));
        assert!(faults.contains(&"ngx_http_lua_co_ctx_resume_helper is not exported".into()));
        assert!(!faults.iter().any(|fault| fault.contains("ffi_now") || fault.contains("other")));
    }

    #[test]
    fn wants_what_the_release_has_and_what_was_taken_over() {
        assert!(is_promised("yes") && is_promised("yes (macOS)") && is_promised("no, here"));
        assert!(!is_promised("no"));
    }

    #[test]
    fn symbols_are_exported_below_a_panic_guard() {
        for file in paths::below(&paths::root().join("src/api"), "rs").unwrap() {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("no_mangle"), "{} exports without #[export]", file.display());
        }
    }

    #[test]
    fn leaves_other_libraries_and_systems_alone() {
        assert!(!is_ours("free", "libc"));
        assert!(!is_ours("ngx_http_lua_ffi_shdict_get_macos", "NGX_DARWIN only"));
        assert!(is_ours("ngx_http_lua_ffi_pipe_spawn", "HAVE_NGX_LUA_PIPE"));
    }
}

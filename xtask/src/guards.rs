//! The panic guards of `src/`, checked by tests: each function that C code can call goes through `#[export]` or
//! `#[callback]` (`crates/export`), which put one around its body, or says why it needs none. What LuaJIT calls
//! is in `src/lua/`, inside the barrier there.

use crate::layers::{Files, made_up, sources};

/// The attributes that guard a function, or that make it one instruction of assembly.
const GUARDS: &[&str] = &["#[export", "#[callback", "#[unsafe(naked)]"];

/// The ABI and the name of the function that `line` begins to define, if C code can call it.
fn entry(line: &str) -> Option<(&str, &str)> {
    if line.trim_start().starts_with("//") {
        return None;
    }
    let (_, rest) = line.split_once("extern \"")?;
    let (abi, rest) = rest.split_once('"')?;
    let name = rest.strip_prefix(" fn ")?.split(['(', '<']).next()?;
    Some((abi, name)).filter(|(_, name)| !name.is_empty())
}

/// Whether one of the attributes above a function's first line guards it.
fn is_guarded(above: &[&str]) -> bool {
    let ends_another = |line: &str| line.is_empty() || line.ends_with(['}', '{', ';']);
    above
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| line.starts_with("//") || !ends_another(line))
        .any(|line| GUARDS.iter().any(|guard| line.starts_with(guard)))
}

/// Every function that C code can call and that has no guard.
fn unguarded(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((abi, name)) = entry(line) else { continue };
            let is_fine = match abi {
                "C" => is_guarded(&lines[..at]),
                "C-unwind" => file.starts_with("lua/"),
                _ => false,
            };
            if !is_fine {
                wrong.push(format!("src/{file} has no guard in {name}"));
            }
        }
    }
    wrong
}

#[test]
fn every_entry_from_c_has_a_guard() {
    let files = sources();
    assert_eq!(unguarded(&files), Vec::<String>::new());
    let entries = files.values().flat_map(|text| text.lines()).filter_map(entry).count();
    assert!(entries > 200, "{entries} are not all of them");
}

#[test]
fn a_missing_guard_is_found() {
    let text = "#[callback]\nunsafe extern \"C\" fn done(data: *mut u8) {\n}\n\n\
                /// A callback.\n///\n/// # Safety\n/// None.\nunsafe extern \"C\" fn bare<T>(data: *mut T) {\n}\n";
    let found = unguarded(&made_up(&[("nginx/core/x.rs", text)]));
    assert_eq!(found, ["src/nginx/core/x.rs has no guard in bare"]);
    let text = "#[export(\n    unguarded = \"it reads a number\"\n)]\n#[cfg(a)]\npub extern \"C\" fn a() {\n";
    assert!(unguarded(&made_up(&[("api/x/ffi.rs", text)])).is_empty());
    let text = "#[unsafe(no_mangle)]\npub extern \"C\" fn a() {\n";
    assert_eq!(unguarded(&made_up(&[("api/ffi.rs", text)])), ["src/api/ffi.rs has no guard in a"]);
}

#[test]
fn functions_that_lua_calls_are_in_their_layer() {
    let text = "unsafe extern \"C-unwind\" fn run(state: *mut lua_State) -> c_int {\n";
    let found = unguarded(&made_up(&[("lua/run.rs", text), ("api/log.rs", text)]));
    assert_eq!(found, ["src/api/log.rs has no guard in run"]);
}

#[test]
fn types_and_declarations_are_no_entries() {
    let text = "type F = unsafe extern \"C\" fn(*mut u8);\nunsafe extern \"C\" {\n    fn g();\n}\n\
                // extern \"C\" fn h()\nfn take(f: extern \"C\" fn(i32)) {}\n";
    assert!(unguarded(&made_up(&[("nginx/core/x.rs", text)])).is_empty());
}

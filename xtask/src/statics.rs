//! The statics of `src/`, checked by tests. One that can be changed is defined by `own_thread!` or
//! `per_thread!`, or is safe to share between threads by its type. A function returns a reference that
//! lasts for ever to a static only: what is in a pool or in shared memory does not.

use crate::layers::{Files, made_up, sources, statements};

/// The files that define the two macros.
const MACROS: [&str; 2] = ["nginx/core/own_thread.rs", "nginx/core/per_thread.rs"];

/// The statics of nginx's own kind: what nginx asks of a module, and its own.
const NGINX_S: [&str; 2] =
    ["static mut ngx_http_lua_module:", "static mut ngx_http_rewrite_module:"];

/// Every `thread_local!` and `static mut`, and every `OwnThread` that is made without its macro.
fn stray(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| !MACROS.contains(&file.as_str())) {
        for line in statements(text) {
            let is_stray = line.contains("thread_local!")
                || line.contains("OwnThread::new")
                || line.contains("static mut ") && !NGINX_S.iter().any(|own| line.contains(own));
            if is_stray {
                wrong.push(format!("src/{file}: {line}"));
            }
        }
    }
    wrong
}

/// What there are statics of: texts, tables of this module's, and modules with their directives.
const STATICS: [&str; 9] = [
    "str",
    "CStr",
    "std::ffi::CStr",
    "[",
    "Known",
    "Next",
    "PhaseRow",
    "ngx_command_t",
    "ngx_module_t",
];

/// Every function that returns a `&'static` to something else.
fn everlasting(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files {
        for line in statements(text) {
            let Some((_, returned)) = line.split_once(") -> ") else { continue };
            let is_static = |of: &str| {
                let of = of.trim_start_matches("mut ");
                let end =
                    of.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).unwrap_or(0);
                STATICS.contains(&&of[..end.max(1)])
            };
            if returned.split("&'static ").skip(1).any(|of| !is_static(of)) {
                wrong.push(format!("src/{file}: {line}"));
            }
        }
    }
    wrong
}

#[test]
fn what_lasts_for_ever_is_static() {
    assert_eq!(everlasting(&sources()), Vec::<String>::new());
}

#[test]
fn a_reference_that_lasts_too_long_is_found() {
    let files = made_up(&[
        ("nginx/a.rs", "fn text() -> &'static str {\nfn row(self) -> Option<&'static Known> {"),
        ("nginx/b.rs", "pub fn get<T: Structure>(self) -> &'static T {"),
        ("config/c.rs", "    )\n) -> Result<(i32, &'static MainConf), Error> {"),
    ]);
    assert_eq!(
        everlasting(&files),
        [
            "src/config/c.rs: ) -> Result<(i32, &'static MainConf), Error> {",
            "src/nginx/b.rs: pub fn get<T: Structure>(self) -> &'static T {",
        ]
    );
}

#[test]
fn statics_that_change_are_defined_by_one_of_two_macros() {
    assert_eq!(stray(&sources()), Vec::<String>::new());
}

#[test]
fn a_stray_static_is_found() {
    let files = made_up(&[
        ("api/a.rs", "use std::cell::Cell;\nthread_local! {\n    static A: Cell<u8> = x;\n}"),
        ("api/b.rs", "static mut B: u8 = 0;\nown_thread! {\n    static C: u8 = 0;\n}"),
        ("api/c.rs", "static D: OwnThread<u8> = unsafe { OwnThread::new(0) };"),
        ("module/ffi.rs", "pub static mut ngx_http_lua_module: ngx_module_t = x;"),
        ("nginx/core/per_thread.rs", "::std::thread_local! {}"),
        ("nginx/x.rs", "// thread_local! would do\nper_thread! {}"),
    ]);
    assert_eq!(
        stray(&files),
        [
            "src/api/a.rs: thread_local! {",
            "src/api/b.rs: static mut B: u8 = 0;",
            "src/api/c.rs: static D: OwnThread<u8> = unsafe { OwnThread::new(0) };",
        ]
    );
}

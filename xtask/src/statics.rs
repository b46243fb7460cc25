//! The statics of `src/` that can be changed, checked by a test: each is defined by `own_thread!` or
//! `per_thread!`, or is safe to share between threads by its type.

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

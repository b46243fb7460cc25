//! `ngx.OK`, `ngx.HTTP_GET`, `ngx.HTTP_OK`, `ngx.ERR`, `ngx.null` and similar ones; `ngx.config`.

use std::ffi::CStr;

use crate::lua::State;
use crate::nginx::core::{host, process};

/// The constants with their values.
#[rustfmt::skip]
const NUMBERS: &[(&CStr, i64)] = &[
    // nginx's return codes
    (c"OK", 0), (c"AGAIN", -2), (c"DONE", -4), (c"DECLINED", -5), (c"ERROR", -1),
    // methods
    (c"HTTP_GET", 0x2), (c"HTTP_HEAD", 0x4), (c"HTTP_POST", 0x8), (c"HTTP_PUT", 0x10),
    (c"HTTP_DELETE", 0x20), (c"HTTP_MKCOL", 0x40), (c"HTTP_COPY", 0x80), (c"HTTP_MOVE", 0x100),
    (c"HTTP_OPTIONS", 0x200), (c"HTTP_PROPFIND", 0x400), (c"HTTP_PROPPATCH", 0x800),
    (c"HTTP_LOCK", 0x1000), (c"HTTP_UNLOCK", 0x2000), (c"HTTP_PATCH", 0x4000),
    (c"HTTP_TRACE", 0x8000),
    // statuses
    (c"HTTP_CONTINUE", 100), (c"HTTP_SWITCHING_PROTOCOLS", 101), (c"HTTP_OK", 200),
    (c"HTTP_CREATED", 201), (c"HTTP_ACCEPTED", 202), (c"HTTP_NO_CONTENT", 204),
    (c"HTTP_PARTIAL_CONTENT", 206), (c"HTTP_SPECIAL_RESPONSE", 300),
    (c"HTTP_MOVED_PERMANENTLY", 301), (c"HTTP_MOVED_TEMPORARILY", 302), (c"HTTP_SEE_OTHER", 303),
    (c"HTTP_NOT_MODIFIED", 304), (c"HTTP_TEMPORARY_REDIRECT", 307),
    (c"HTTP_PERMANENT_REDIRECT", 308), (c"HTTP_BAD_REQUEST", 400), (c"HTTP_UNAUTHORIZED", 401),
    (c"HTTP_PAYMENT_REQUIRED", 402), (c"HTTP_FORBIDDEN", 403), (c"HTTP_NOT_FOUND", 404),
    (c"HTTP_NOT_ALLOWED", 405), (c"HTTP_NOT_ACCEPTABLE", 406), (c"HTTP_REQUEST_TIMEOUT", 408),
    (c"HTTP_CONFLICT", 409), (c"HTTP_GONE", 410), (c"HTTP_UPGRADE_REQUIRED", 426),
    (c"HTTP_TOO_MANY_REQUESTS", 429), (c"HTTP_CLOSE", 444), (c"HTTP_ILLEGAL", 451),
    (c"HTTP_INTERNAL_SERVER_ERROR", 500), (c"HTTP_NOT_IMPLEMENTED", 501),
    (c"HTTP_METHOD_NOT_IMPLEMENTED", 501), (c"HTTP_BAD_GATEWAY", 502),
    (c"HTTP_SERVICE_UNAVAILABLE", 503), (c"HTTP_GATEWAY_TIMEOUT", 504),
    (c"HTTP_VERSION_NOT_SUPPORTED", 505), (c"HTTP_INSUFFICIENT_STORAGE", 507),
    // log levels
    (c"STDERR", 0), (c"EMERG", 1), (c"ALERT", 2), (c"CRIT", 3), (c"ERR", 4), (c"WARN", 5),
    (c"NOTICE", 6), (c"INFO", 7), (c"DEBUG", 8),
];

/// Puts the constants and `ngx.config` into the table on top.
pub fn inject(mut state: State) {
    for &(name, value) in NUMBERS {
        state.push_integer(value);
        state.set_field(-2, name);
    }
    state.push_light_userdata(std::ptr::null_mut());
    state.set_field(-2, c"null");
    inject_config(state);
}

/// Puts `ngx.config` into the `ngx` table on top, without its field `ngx_lua_version`, which is set
/// once the VM has been made.
pub fn inject_config(mut state: State) {
    state.new_table(0, 6);
    state.push_bool(process::is_debug_build());
    state.set_field(-2, c"debug");
    crate::lua::function::push_constant_function(state, process::prefix().bytes());
    state.set_field(-2, c"prefix");
    crate::lua::function::push_constant_function(state, process::configure_arguments());
    state.set_field(-2, c"nginx_configure");
    state.push_integer(process::NGINX_VERSION);
    state.set_field(-2, c"nginx_version");
    state.push_str("http");
    state.set_field(-2, c"subsystem");
    inject_own_version(state);
    state.set_field(-2, c"config");
}

/// Gives the table on top the field `ngx_rust_version` by a metatable, so that `pairs` finds the C
/// module's fields only.
fn inject_own_version(mut state: State) {
    state.new_table(0, 1);
    state.new_table(0, 1);
    state.push_str(host::VERSION);
    state.set_field(-2, c"ngx_rust_version");
    state.set_field(-2, c"__index");
    state.set_metatable(-2);
}

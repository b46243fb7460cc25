//! The Lua functions about the header as the client sent it; lua-resty-core has the other
//! functions, which call the symbols in `ffi.rs`.

use crate::api::call::{Call, ObjectRow, Row, set_functions_in};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::nginx::guard;
use crate::nginx::http::headers_in;

const FUNCTIONS: &[Row] = &[
    ObjectRow::in_request(c"http_version", http_version),
    ObjectRow::in_request(c"raw_header", raw_header),
];

/// Puts the functions into the table `req` of the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"req", FUNCTIONS);
}

fn http_version(call: &Call) -> LuaResult {
    match call.request.http_version() {
        9 => call.state.push_number(0.9),
        1000 => call.state.push_number(1.0),
        1001 => call.state.push_number(1.1),
        2000 => call.state.push_number(2.0),
        3000 => call.state.push_number(3.0),
        _ => call.state.push_nil(),
    }
    Ok(Returns::Values(1))
}

fn raw_header(call: &Call) -> LuaResult {
    let without_request_line = call.arguments() > 0 && call.state.boolean(1);
    let raw = guard(None, || Some(headers_in::raw(call.request, without_request_line)));
    let text = raw.ok_or_else(|| LuaError::text("internal error in ngx.req.raw_header"))??;
    call.state.push_bytes(&text);
    Ok(Returns::Values(1))
}

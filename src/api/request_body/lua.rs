//! The Lua functions for the request body.

use super::read::read_body;
use crate::api::call::{BodyRow, Call, Row, set_functions_in};
use crate::api::request_headers;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::http::request_body;
use crate::nginx::http::request_body::Body;
use crate::nginx::http::request_body::edit;
use crate::nginx::http::request_body::edit::BodyError;
use crate::runtime::PhaseSet;

const FUNCTIONS: &[Row] = &[
    BodyRow::late::<{ PhaseSet::REQUEST.0 }, _>(c"read_body", read_body),
    BodyRow::late_in_request(c"discard_body", discard_body),
    BodyRow::late_in_request(c"get_body_data", get_body_data),
    BodyRow::late_in_request(c"get_body_file", get_body_file),
    BodyRow::late_in_request(c"set_body_data", set_body_data),
    Row::late_in_request(c"set_body_file", set_body_file),
    Row::late_in_request(c"init_body", init_body),
    Row::late_in_request(c"append_body", append_body),
    Row::late_in_request(c"finish_body", finish_body),
];

/// Puts the functions into the table `ngx.req` of the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"req", FUNCTIONS);
}

impl From<BodyError> for LuaError {
    fn from(error: BodyError) -> Self {
        LuaError::bytes(error.message())
    }
}

/// Requires exactly `expected` arguments; `noun` is the C module's wording.
fn check_count(call: &Call, expected: i32, noun: &str) -> Result<(), LuaError> {
    let n = call.arguments();
    if n == expected {
        return Ok(());
    }
    Err(LuaError::text(format_args!("expecting {expected} {noun} but seen {n}")))
}

fn discard_body(call: &Call) -> LuaResult {
    check_count(call, 0, "arguments")?;
    call.check_client()?;
    if call.request.discard_body().is_failure() {
        return Err(LuaError::text("failed to discard request body"));
    }
    Ok(Returns::Values(0))
}

/// `get_body_data(max?)`: the body, or its first `max` bytes; a `max` below 1 means all of it. Nil
/// if the body is empty, unread, or in a file.
fn get_body_data(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n > 1 {
        return Err(LuaError::text(format_args!("expecting 0 or 1 arguments but seen {n}")));
    }
    let mut max = usize::MAX;
    if n == 1 {
        let given = state.check_number(1)?;
        if given >= 1.0 {
            max = given as usize;
        }
    }
    call.check_client()?;
    let Body::Memory(bufs) = request_body::body(&call.request) else {
        state.push_nil();
        return Ok(Returns::Values(1));
    };
    let mut pieces = bufs.bufs();
    match (pieces.next(), pieces.next()) {
        (Some(only), None) => {
            let bytes = only.memory();
            if bytes.is_empty() {
                state.push_nil();
            } else {
                // Making a string may run a finalizer, which may replace the body.
                let _kept = edit::Kept::new(only);
                state.push_bytes(bytes.get(..max).unwrap_or(bytes));
            }
        }
        _ if bufs.memory_len() == 0 => state.push_nil(),
        _ => state.push_bytes(&request_body::copy(bufs, max)?),
    }
    Ok(Returns::Values(1))
}

fn get_body_file(call: &Call) -> LuaResult {
    check_count(call, 0, "arguments")?;
    call.check_client()?;
    match request_body::body(&call.request) {
        Body::File(name) => call.state.push_bytes(name),
        Body::Unread | Body::Memory(_) => call.state.push_nil(),
    }
    Ok(Returns::Values(1))
}

fn set_body_data(call: &Call) -> LuaResult {
    check_count(call, 1, "arguments")?;
    let data = call.state.check_bytes(1)?;
    call.check_client()?;
    request_headers::own(call.request)?;
    edit::set_data(call.request, &call.context.captures.requests.borrow(), data)?;
    Ok(Returns::Values(0))
}

fn set_body_file(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!("expecting 1 or 2 arguments but seen {n}")));
    }
    let name = state.check_bytes(1)?;
    call.check_client()?;
    let mut delete = false;
    if n == 2 {
        state.check_kind(2, Kind::Boolean, c"boolean")?;
        delete = state.boolean(2);
    }
    request_headers::own(call.request)?;
    edit::set_file(call.request, &call.context.captures.requests.borrow(), name, delete)?;
    Ok(Returns::Values(0))
}

fn init_body(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n > 1 {
        return Err(LuaError::text(format_args!("expecting 0 or 1 argument but seen {n}")));
    }
    call.check_client()?;
    let mut size = None;
    if n == 1 {
        let number = call.state.check_integer(1)?;
        let bytes = usize::try_from(number)
            .map_err(|_| LuaError::text(format_args!("bad size argument: {number}")))?;
        size = Some(bytes);
    }
    edit::start(call.request, &call.context.captures.requests.borrow(), size)?;
    Ok(Returns::Values(0))
}

fn append_body(call: &Call) -> LuaResult {
    check_count(call, 1, "arguments")?;
    let data = call.state.check_bytes(1)?;
    call.check_client()?;
    edit::append(call.request, data)?;
    Ok(Returns::Values(0))
}

fn finish_body(call: &Call) -> LuaResult {
    check_count(call, 0, "argument")?;
    call.check_client()?;
    request_headers::own(call.request)?;
    edit::finish(call.request)?;
    Ok(Returns::Values(0))
}

//! `ngx.resp.get_headers`; lua-resty-core has `ngx.header`, which calls the symbols in `ffi.rs`.

use codec::fallible::{self, OutOfMemory};

use crate::api::call::{Call, ObjectRow, Row, set_functions_in};
use crate::api::value_lists;
use crate::lua::state::upvalue;
use crate::lua::{Kind, LuaResult, Returns, State, function};
use crate::nginx::Header;
use crate::nginx::http::headers_out;
use crate::ngx_debug;

const DEFAULT_MAX_HEADERS: i64 = 100;

const GET_HEADERS: Row = ObjectRow::late_in_request(c"get_headers", get_headers);

/// Puts the function into the table `resp` of the `ngx` table on top.
///
/// The function has the metatable of its results as an upvalue.
pub fn inject(mut state: State) {
    set_functions_in(state, c"resp", &[]);
    state.get_field(-1, c"resp");
    state.new_table(0, 1);
    state.push_function(function::wrap(look_up));
    state.set_field(-2, c"__index");
    state.push_closure(GET_HEADERS.function, 1);
    state.set_field(-2, GET_HEADERS.name);
    state.pop(1);
}

/// The metamethod `__index` of the results: finds a name in another case, or with underscores.
fn look_up(mut state: State) -> LuaResult {
    let name = state.check_bytes(2)?;
    let mut key = fallible::copy(name)?;
    key.make_ascii_lowercase();
    codec::headers::underscores_to_dashes(&mut key);
    if key == name {
        state.push_nil();
    } else {
        state.push_bytes(&key);
        state.raw_get(1);
    }
    Ok(Returns::Values(1))
}

/// Puts headers into the table on top of the stack, up to a number of them.
struct Collector {
    state: State,
    raw: bool,
    max: usize,
    /// How many headers it has been given, including those above `max`.
    seen: usize,
}

fn get_headers(call: &Call) -> LuaResult {
    let mut state = call.state;
    let max = match state.kind(1) {
        Kind::None | Kind::Nil => DEFAULT_MAX_HEADERS,
        _ => state.check_integer(1)?,
    };
    call.check_client()?;
    let raw = state.boolean(2);
    state.reserve(8)?;
    state.new_table(0, 8);
    if !raw {
        state.push_value(upvalue::<1>());
        state.set_metatable(-2);
    }
    let max = usize::try_from(max).ok().filter(|&max| max > 0).unwrap_or(usize::MAX);
    let mut headers = Collector { state, raw, max, seen: 0 };
    add_own(call, &mut headers);
    for header in headers_out::nodes(call.request) {
        headers.add_node(header)?;
    }
    if headers.seen <= max {
        return Ok(Returns::Values(1));
    }
    let seen = headers.seen;
    ngx_debug!(call.request.log(), "lua exceeding response header limit {seen} > {max}");
    state.push_str("truncated");
    Ok(Returns::Values(2))
}

/// Adds the headers that nginx writes itself, without having them in its list.
fn add_own(call: &Call, headers: &mut Collector) {
    let request = call.request;
    let media_type = headers_out::content_type(&request);
    if !media_type.is_empty() {
        headers.add(b"content-type", media_type);
    }
    if let Some(length) = headers_out::content_length(request) {
        headers.add(b"content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    headers.add(b"connection", headers_out::connection(request).as_bytes());
    if headers_out::is_chunked(request) {
        headers.add(b"transfer-encoding", b"chunked");
    }
}

impl Collector {
    fn add_node(&mut self, header: Header) -> Result<(), OutOfMemory> {
        if self.raw {
            self.add(header.name(), header.value());
        } else {
            let mut name = fallible::copy(header.name())?;
            name.make_ascii_lowercase();
            self.add(&name, header.value());
        }
        Ok(())
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        self.seen += 1;
        if self.seen <= self.max {
            let table = self.state.top();
            value_lists::add(self.state, table, name, |state| state.push_bytes(value));
        }
    }
}

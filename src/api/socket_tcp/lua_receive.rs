//! The Lua functions that receive: `receive`, `receiveany`, `receiveuntil` and its iterators.

use std::rc::Rc;

use codec::fallible::Shown;
use codec::receive_until::{Call as Turn, ReceiveUntil};

use super::face;
use super::handle;
use super::input::Want;
use super::lua::{ALL, log_closed};
use super::matcher::Matcher;
use super::socket::Socket;
use crate::api::call::{Call, Row};
use crate::lua::registry::TCP_PATTERN_METATABLE;
use crate::lua::state::upvalue;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State, resty_core, userdata};
use crate::nginx::core::allocator;
use crate::ngx_debug;

/// Makes the metatable of matchers.
pub fn inject(state: State) {
    userdata::inject::<Matcher>(state, TCP_PATTERN_METATABLE);
}

/// A socket that can be read from, or what the function is to return instead.
enum Ready {
    Socket(Rc<Socket>),
    Return(LuaResult),
}

/// Whether the calling request can read from `socket` now. `logs` says whether to log that it is
/// closed.
#[inline(always)]
fn ready(call: &Call, socket: Option<Rc<Socket>>, logs: bool) -> Result<Ready, LuaError> {
    let readable = |socket: &Rc<Socket>| socket.is_connected() && !socket.read_closed.get();
    let Some(socket) = socket.filter(readable) else { return Ok(not_open(call, logs)) };
    socket.check_owner(call)?;
    Ok(match socket.busy(true, false) {
        Some(busy) => Ready::Return(busy.fail(call)),
        None => Ready::Socket(socket),
    })
}

#[cold]
fn not_open(call: &Call, logs: bool) -> Ready {
    if logs {
        log_closed(call, "receive");
    }
    Ready::Return(call.fail("closed"))
}

/// `sock:receive(pattern_or_size?)`.
pub fn receive(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!(
            "expecting 1 or 2 arguments (including the object), but got {n}"
        )));
    }
    ngx_debug!(call.request.log(), "lua tcp socket calling receive() method");
    let socket = match ready(call, handle::of_call(call)?, true)? {
        Ready::Socket(socket) => socket,
        Ready::Return(result) => return result,
    };
    let want = if n == 1 { Want::Line } else { pattern(state)? };
    if matches!(want, Want::Bytes(0)) {
        state.push_bytes(b"");
        return Ok(Returns::Values(1));
    }
    if socket.takes_face() {
        face::use_at(state, 1);
    }
    socket.receive(call, want)
}

/// Up to here, a Lua number is an exact number of bytes.
const MAX_SIZE: f64 = (1_u64 << 53) as f64;

const BAD_PATTERN: &str = "bad pattern argument";

/// What the second argument of `receive` asks for.
fn pattern(state: State) -> Result<Want, LuaError> {
    // A size, mostly.
    let size = state.number(2);
    if (1.0..=MAX_SIZE).contains(&size) {
        return Ok(Want::Bytes(size as usize));
    }
    let bad = |text: &'static str| LuaError::argument(2, text);
    let changed = |now| bad(resty_core::worded(10_026, now, BAD_PATTERN));
    let size = || {
        let size = usize::try_from(state.integer(2));
        size.map(Want::Bytes).map_err(|_| changed("bad number argument"))
    };
    match state.kind(2) {
        Kind::Number => return size(),
        Kind::String => {}
        _ => return Err(changed("bad argument")),
    }
    match state.bytes(2).unwrap_or_default() {
        b"*l" => Ok(Want::Line),
        b"*a" => Ok(Want::All),
        [b'*', _] => Err(bad(BAD_PATTERN)),
        _ if state.is_number(2) => size(),
        other => Err(LuaError::argument(2, format_args!("bad pattern argument: {}", Shown(other)))),
    }
}

/// `sock:receiveany(max)`.
pub fn receiveany(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n != 2 {
        return Err(LuaError::text(format_args!(
            "expecting 2 arguments (including the object), but got {n}"
        )));
    }
    let socket = match ready(call, handle::of_call(call)?, true)? {
        Ready::Socket(socket) => socket,
        Ready::Return(result) => return result,
    };
    let max = if state.is_number(2) { state.integer(2) } else { 0 };
    let max = usize::try_from(max).ok().filter(|&max| max > 0);
    let max = max.ok_or_else(|| LuaError::argument(2, "bad max argument"))?;
    ngx_debug!(
        call.request.log(),
        "lua tcp socket calling receiveany() method to read at most {max} bytes"
    );
    socket.receive(call, Want::Any(max))
}

/// `sock:receiveuntil(pattern, options?)`: an iterator, a function.
pub fn receiveuntil(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n != 2 && n != 3 {
        return Err(LuaError::text(format_args!(
            "expecting 2 or 3 arguments (including the object), but got {n}"
        )));
    }
    let inclusive = if n == 3 { inclusive(state)? } else { false };
    ngx_debug!(call.request.log(), "lua tcp socket calling receiveuntil() method");
    state.check_kind(1, Kind::Table, c"table")?;
    allocator::check()?;
    let matcher = match ReceiveUntil::new(state.check_bytes(2)?, inclusive) {
        Ok(matcher) => Matcher::new(matcher),
        Err(bad) => return call.fail_with(format_args!("{bad}")),
    };
    state.push_value(1);
    userdata::push::<Matcher>(state, matcher, TCP_PATTERN_METATABLE);
    const ITERATOR: Row = Row::in_phases::<ALL, _>(c"iterator", iterate);
    state.push_closure(ITERATOR.function, 2);
    Ok(Returns::Values(1))
}

/// The option `inclusive` of the table in argument 3.
#[inline(never)]
fn inclusive(mut state: State) -> Result<bool, LuaError> {
    state.check_kind(3, Kind::Table, c"table")?;
    state.get_field(3, c"inclusive");
    let inclusive = match state.kind(-1) {
        Kind::Nil => false,
        Kind::Boolean => state.boolean(-1),
        kind => {
            let name = kind.name();
            return Err(LuaError::text(format_args!(
                "bad \"inclusive\" option value type: {name}"
            )));
        }
    };
    state.pop(1);
    Ok(inclusive)
}

/// `iterator(size?)`; its upvalues are the cosocket's table and the matcher.
fn iterate(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n > 1 {
        let noun = resty_core::worded(10_026, "argument", "arguments");
        return Err(LuaError::text(format_args!("expecting 0 or 1 {noun}, but seen {n}")));
    }
    let size = if n == 1 { state.check_integer(1)? } else { 0 };
    let socket = match ready(call, handle::socket(state, state.table_at(upvalue::<1>())), false)? {
        Ready::Socket(socket) => socket,
        Ready::Return(result) => return result,
    };
    let matcher = userdata::get::<Matcher>(state, upvalue::<2>());
    let matcher = matcher.ok_or_else(|| LuaError::text("no pattern"))?;
    ngx_debug!(call.request.log(), "lua tcp socket receiveuntil iterator");
    let turn = matcher.borrow_mut().begin(usize::try_from(size).unwrap_or(0));
    match turn {
        Turn::Read => socket.receive(call, Want::Until(matcher)),
        Turn::End => {
            (0..3).for_each(|_| state.push_nil());
            Ok(Returns::Values(3))
        }
    }
}

//! The Lua functions of TCP cosockets, except those that connect and those that receive.

use std::ffi::CStr;
use std::rc::Rc;

use super::face;
use super::handle::{self, CONNECT_TIMEOUT, READ_TIMEOUT, SEND_TIMEOUT};
use super::keepalive::set_keepalive;
use super::lua_connect::{bind, connect};
use super::lua_receive::{self, receive, receiveany, receiveuntil};
use super::request_socket::{BODY_METATABLE, RAW_METATABLE, req_socket};
use super::socket::{Socket, Timeouts};
use crate::api::call::{Call, Row, set_functions, set_functions_in};
use crate::api::print::pieces;
use crate::config::LocationConf;
use crate::lua::Outcome;
use crate::lua::registry::TCP_METATABLE;
use crate::lua::resty_core;
use crate::lua::state::REGISTRY;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::Level;
use crate::ngx_log;
use crate::runtime::PhaseSet;

/// lua-resty-core adds its methods to the metatable of this name.
const METATABLE: &CStr = c"__tcp_cosocket_mt";

const YIELDABLE: u32 = PhaseSet::YIELDABLE.0;
/// A socket belongs to its request, and can be used in each of its phases.
pub const ALL: u32 = PhaseSet::ALL.0;

const METHODS: &[Row] = &[
    Row::late::<YIELDABLE, _>(c"bind", bind),
    Row::late::<YIELDABLE, _>(c"connect", connect),
    Row::in_phases::<ALL, _>(c"send", send),
    Row::in_phases::<ALL, _>(c"close", close),
    Row::anywhere(c"getreusedtimes", getreusedtimes),
    Row::in_phases::<ALL, _>(c"setkeepalive", setkeepalive),
    #[cfg(ngx_feature = "http_ssl")]
    Row::in_phases::<ALL, _>(c"getalpn", super::tls::options::getalpn),
];

const RECEIVING: &[Row] = &[
    Row::in_phases::<ALL, _>(c"receive", receive),
    Row::in_phases::<ALL, _>(c"receiveany", receiveany),
    Row::in_phases::<ALL, _>(c"receiveuntil", receiveuntil),
    Row::anywhere(c"settimeout", settimeout),
    Row::anywhere(c"settimeouts", settimeouts),
];

const SENDING: &[Row] = &[Row::in_phases::<ALL, _>(c"send", send)];

/// Puts the functions into the `ngx` table on top, and the metatables into the registry.
pub fn inject(mut state: State) {
    const SOCKET: &[Row] =
        &[Row::late::<YIELDABLE, _>(c"tcp", tcp), Row::late::<YIELDABLE, _>(c"stream", tcp)];
    const REQUEST: &[Row] = &[Row::late::<{ PhaseSet::REQUEST.0 }, _>(c"socket", req_socket)];
    set_functions_in(state, c"socket", SOCKET);
    set_functions_in(state, c"req", REQUEST);
    inject_connect(state);
    metatable(state, METATABLE, &[METHODS, RECEIVING]);
    #[cfg(ngx_feature = "http_ssl")]
    super::tls::options::inject(state, METATABLE);
    state.get_field(REGISTRY, METATABLE);
    state.register(TCP_METATABLE);
    metatable(state, BODY_METATABLE, &[RECEIVING]);
    metatable(state, RAW_METATABLE, &[RECEIVING, SENDING]);
    handle::inject(state);
    lua_receive::inject(state);
    face::inject(state);
    super::pool::inject(state);
}

/// Puts `ngx.socket.connect`, a Lua function, into the `ngx` table on top.
fn inject_connect(mut state: State) {
    let code = include_bytes!("../../../lua/socket_connect.lua");
    state.get_field(-1, c"socket");
    match state.load(code, c"=ngx.socket.connect") {
        Outcome::Done => state.set_field(-2, c"connect"),
        Outcome::Yielded | Outcome::Failed(_) => state.pop(1),
    }
    state.pop(1);
}

/// Puts a metatable with these methods, which is its own `__index`, into the registry.
fn metatable(mut state: State, name: &CStr, rows: &[&[Row]]) {
    state.new_table(0, 16);
    for rows in rows {
        set_functions(state, rows);
    }
    state.push_value(-1);
    state.set_field(-2, c"__index");
    state.set_field(REGISTRY, name);
}

/// `ngx.socket.tcp()`: a table without a socket, which its first `connect` makes.
fn tcp(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 0 {
        return Err(LuaError::text(format_args!("expecting zero arguments, but got {n}")));
    }
    call.check()?;
    let mut state = call.state;
    state.new_table(7, 0);
    state.push_registered(TCP_METATABLE);
    state.set_metatable(-2);
    Ok(Returns::Values(1))
}

/// `sock:send(data)`.
fn send(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n != 2 {
        return Err(LuaError::text(format_args!(
            "expecting 2 arguments (including the object), but got {n}"
        )));
    }
    let socket = handle::of_call(call)?;
    let Some(socket) = socket.filter(|socket| socket.is_connected() && !socket.write_closed.get())
    else {
        log_closed(call, "send");
        return call.fail("closed");
    };
    socket.check_owner(call)?;
    if let Some(busy) = socket.busy(false, true) {
        return busy.fail(call);
    }
    if socket.reads_body() {
        return Err(LuaError::text("attempt to write to request sockets"));
    }
    match state.kind(2) {
        Kind::String => {
            let bytes = state.bytes(2).unwrap_or_default();
            socket.send(call, bytes)
        }
        Kind::Number | Kind::Table | Kind::Nil | Kind::Boolean => {
            let mut bytes = Vec::new();
            if state.kind(2) == Kind::Table {
                pieces::append_strict_table(state, 2, &mut bytes)?;
            } else {
                pieces::append_argument(state, 2, &mut bytes)?;
            }
            socket.send(call, &bytes)
        }
        kind => Err(LuaError::argument(
            2,
            format_args!(
                "string, number, boolean, nil, or array table expected, got {}",
                kind.name()
            ),
        )),
    }
}

/// Logs that a closed socket was used, unless the location says not to.
pub fn log_closed(call: &Call, verb: &str) {
    if !call.context.location().socket_log_errors() {
        return;
    }
    let socket = handle::socket(call.state, call.state.table_at(1));
    let address = socket.as_ref().map_or(0, |socket| Rc::as_ptr(socket) as usize);
    let stream = socket.as_ref().and_then(|socket| socket.stream.get());
    let connection = stream.map_or(0, |stream| stream.as_ptr() as usize);
    let ended = socket.as_ref().is_some_and(|socket| socket.ended.get());
    // A socket that names no server may be closed: then its request, and the request's log, may be
    // gone.
    let named = socket.filter(|socket| socket.names_server());
    let log = named.map_or_else(|| call.request.log(), |socket| socket.error_log());
    ngx_log!(
        log,
        Level::Err,
        "attempt to {verb} data on a closed socket: u:{address:016X}, c:{connection:016X}, ft:0 eof:{}",
        u8::from(ended)
    );
}

/// `sock:close()`.
fn close(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format_args!(
            "expecting 1 argument (including the object) but seen {n}"
        )));
    }
    let Some(socket) = open_socket(handle::of_call(call)?) else { return call.fail("closed") };
    socket.check_owner(call)?;
    if let Some(busy) = socket.busy(true, true) {
        return busy.fail(call);
    }
    if socket.is_downstream() {
        return call.fail("attempt to close a request socket");
    }
    socket.finalize();
    handle::release(call.state, n);
    call.succeed()
}

/// The socket, unless both of its directions are closed.
fn open_socket(socket: Option<Rc<Socket>>) -> Option<Rc<Socket>> {
    socket.filter(|socket| {
        let closed = socket.read_closed.get() && socket.write_closed.get();
        socket.is_connected() && !closed
    })
}

/// `sock:getreusedtimes()`.
fn getreusedtimes(state: State) -> LuaResult {
    let n = state.top();
    if n != 1 {
        return Err(LuaError::text(format_args!(
            "expecting 1 argument (including the object), but got {n}"
        )));
    }
    state.check_kind(1, Kind::Table, c"table")?;
    match open_socket(handle::socket(state, state.table_at(1))) {
        Some(socket) => {
            state.push_integer(i64::from(socket.reused.get()));
            Ok(Returns::Values(1))
        }
        None => {
            state.push_nil();
            state.push_str("closed");
            Ok(Returns::Values(2))
        }
    }
}

/// `sock:setkeepalive(timeout?, size?)`.
fn setkeepalive(call: &Call) -> LuaResult {
    let n = call.arguments();
    if !(1..=3).contains(&n) {
        return Err(LuaError::text(format_args!(
            "expecting 1 to 3 arguments (including the object), but got {n}"
        )));
    }
    set_keepalive(call, handle::of_call(call)?, n)
}

/// The timeout in argument `index`, in milliseconds; raises for one that is negative or too long.
fn timeout(state: State, index: i32) -> Result<i64, LuaError> {
    let number = state.number(index);
    let milliseconds = number as i64;
    if milliseconds >> 31 != 0 || number.is_nan() {
        return Err(LuaError::text("bad timeout value"));
    }
    Ok(milliseconds)
}

/// `sock:settimeout(milliseconds)`.
fn settimeout(state: State) -> LuaResult {
    check_timeouts(state, 2, "settimeout")?;
    let all = timeout(state, 2)?;
    set_timeouts(state, all, all, all)
}

/// `sock:settimeouts(connect, send, read)`, in milliseconds.
fn settimeouts(state: State) -> LuaResult {
    check_timeouts(state, 4, resty_core::worded(10_026, "settimeouts", "settimeout"))?;
    let (connect, send, read) = (timeout(state, 2)?, timeout(state, 3)?, timeout(state, 4)?);
    set_timeouts(state, connect, send, read)
}

fn check_timeouts(state: State, expected: i32, name: &str) -> Result<(), LuaError> {
    let n = state.top();
    if n != expected {
        return Err(LuaError::text(format_args!(
            "ngx.socket {name}: expecting {expected} arguments (including the object) but seen {n}"
        )));
    }
    state.check_kind(1, Kind::Table, c"table")
}

/// Sets the timeouts in the table of argument 1, for its next connect, and in its socket, if it has
/// one.
fn set_timeouts(mut state: State, connect: i64, send: i64, read: i64) -> LuaResult {
    let items = [(CONNECT_TIMEOUT, connect), (SEND_TIMEOUT, send), (READ_TIMEOUT, read)];
    for (item, milliseconds) in items {
        state.push_integer(milliseconds);
        state.raw_set_index(1, item);
    }
    if let Some(socket) = handle::socket(state, state.table_at(1)) {
        socket.timeouts.set(Timeouts::new(
            LocationConf::of(&socket.conf.get()),
            connect,
            send,
            read,
        ));
    }
    Ok(Returns::Values(0))
}

//! The Lua functions of datagram cosockets.

use std::ffi::CStr;
use std::rc::Rc;

use super::handle;
use super::receive::MAX_DATAGRAM;
use super::socket::Socket;
use crate::api::call::{BodyRow, Call, Row, set_functions, set_functions_in};
use crate::api::print::pieces;
use crate::api::socket_failure::SocketFailure;
use crate::lua::registry::UDP_METATABLE;
use crate::lua::resty_core::release_in;
use crate::lua::state::REGISTRY;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::Level;
use crate::nginx::core::address::Address;
use crate::nginx::core::log::Shown;
use crate::runtime::PhaseSet;
use crate::{ngx_debug, ngx_log};

const YIELDABLE: u32 = PhaseSet::YIELDABLE.0;
/// A socket belongs to its request, and can be used in each of its phases.
const ALL: u32 = PhaseSet::ALL.0;

const METHODS: &[Row] = &[
    Row::late::<YIELDABLE, _>(c"setpeername", set_peer_name),
    BodyRow::in_phases::<ALL, _>(c"send", send),
    Row::in_phases::<ALL, _>(c"receive", receive),
    Row::anywhere(c"settimeout", set_timeout),
    Row::in_phases::<ALL, _>(c"close", close),
];

/// Since release 0.10.27 of the C module, it is one of the [`METHODS`].
const BIND: &[Row] = &[Row::late::<YIELDABLE, _>(c"bind", bind)];
const SINCE_BIND: u32 = 10_027;

/// The name of the sockets' metatable in the registry, for other Lua libraries.
const METATABLE: &CStr = c"__udp_cosocket_mt";

/// Puts the function into the `socket` table of the `ngx` table on top.
pub fn inject(mut state: State) {
    const UDP: Row = Row::late::<YIELDABLE, _>(c"udp", udp);
    set_functions_in(state, c"socket", &[UDP]);
    state.new_table(0, METHODS.len() as i32 + 1);
    set_functions(state, METHODS);
    if release_in(state) >= SINCE_BIND {
        set_functions(state, BIND);
    } else {
        // The tests of an older release count the metatable's entries. So the method is not among
        // them, but in the `__index` of the metatable's own metatable.
        state.new_table(0, 1);
        state.new_table(0, 1);
        set_functions(state, BIND);
        state.set_field(-2, c"__index");
        state.set_metatable(-2);
    }
    state.push_value(-1);
    state.set_field(-2, c"__index");
    state.push_value(-1);
    state.set_field(REGISTRY, METATABLE);
    state.register(UDP_METATABLE);
    handle::inject(state);
}

/// `ngx.socket.udp()`: a table without a socket, which its first `setpeername` makes.
fn udp(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 0 {
        return Err(LuaError::text(format_args!("expecting zero arguments, but got {n}")));
    }
    call.check()?;
    let mut state = call.state;
    state.new_table(3, 1);
    state.push_registered(UDP_METATABLE);
    state.set_metatable(-2);
    Ok(Returns::Values(1))
}

/// `sock:bind(address)`.
fn bind(call: &Call) -> LuaResult {
    let (mut state, n) = (call.state, call.arguments());
    if n != 2 {
        return Err(LuaError::text(format_args!("expecting 2 arguments, but got {n}")));
    }
    call.check()?;
    state.check_kind(1, Kind::Table, c"table")?;
    let text = state.check_bytes(2)?;
    if Address::ip(text).is_none() {
        return call.fail("bad address");
    }
    ngx_debug!(call.request.log(), "lua udp socket bind ip: {}", Shown(text));
    state.set_top(2);
    handle::bind(state, 1);
    call.succeed()
}

/// `sock:setpeername(host, port?)`.
fn set_peer_name(call: &Call) -> LuaResult {
    let state = call.state;
    let n = call.arguments();
    if n != 2 && n != 3 {
        return Err(LuaError::text(format_args!(
            "ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but \
             seen {n}"
        )));
    }
    call.check()?;
    state.check_kind(1, Kind::Table, c"table")?;
    let host = state.check_bytes(2)?;
    let port = if n == 3 { state.check_integer(3)? } else { 0 };
    let Ok(port) = u16::try_from(port) else {
        return call.fail(&SocketFailure::bad_port(port).message());
    };
    let socket = match handle::socket(state, 1) {
        Some(socket) => {
            socket.check_owner(call)?;
            if socket.is_waited_for() {
                return call.fail(&BUSY.message());
            }
            if socket.is_connected() {
                ngx_debug!(call.request.log(), "lua udp socket reconnect without shutting down");
                socket.finalize();
            }
            ngx_debug!(call.request.log(), "lua reuse socket upstream ctx");
            socket.reset(call);
            socket
        }
        None => {
            let socket = Socket::new(call)?;
            handle::attach(state, 1, socket.clone());
            socket
        }
    };
    socket.set_timeout(handle::timeout(state, 1));
    socket.local.set(handle::bound(state, 1));
    socket.set_peer(call, host, port)
}

/// The error if another task waits for the socket.
const BUSY: SocketFailure = SocketFailure::text("socket busy");

/// The connected socket of argument 1. If it is closed, logs that code tried `doing` something with
/// it, and returns `None`.
fn connected(call: &Call, doing: &str) -> Result<Option<Rc<Socket>>, LuaError> {
    call.state.check_kind(1, Kind::Table, c"table")?;
    let socket = handle::socket(call.state, 1);
    let address = socket.as_ref().map_or(0, |socket| Rc::as_ptr(socket) as usize);
    if let Some(socket) = socket.filter(|socket| socket.is_connected()) {
        socket.check_owner(call)?;
        return Ok(Some(socket));
    }
    if call.context.location().socket_log_errors() {
        // As in the C module, with the addresses of the socket and of its connection: there is none.
        ngx_log!(
            call.request.log(),
            Level::Err,
            "attempt to {doing} data on a closed socket: u:{address:016X}, c:0000000000000000"
        );
    }
    Ok(None)
}

/// `sock:send(data)`.
fn send(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 2 {
        return Err(LuaError::text(format_args!(
            "expecting 2 arguments (including the object), but got {n}"
        )));
    }
    let Some(socket) = connected(call, "send")? else {
        return call.fail(&SocketFailure::Closed.message());
    };
    if socket.is_waited_for() {
        return call.fail(&BUSY.message());
    }
    let mut datagram = Vec::new();
    append_datagram(call.state, 2, &mut datagram)?;
    match socket.send(&datagram) {
        Ok(()) => call.succeed(),
        Err(failure) => call.fail(&failure.message()),
    }
}

/// Appends the bytes of argument `index`, a value of any type that can be sent, to `out`.
fn append_datagram(state: State, index: i32, out: &mut Vec<u8>) -> Result<(), LuaError> {
    match state.kind(index) {
        Kind::Table => pieces::append_strict_table(state, index, out),
        Kind::Number | Kind::String | Kind::Nil | Kind::Boolean => {
            pieces::append_argument(state, index, out)
        }
        kind => Err(LuaError::argument(
            index,
            format_args!(
                "string, number, boolean, nil, or array table expected, got {}",
                kind.name()
            ),
        )),
    }
}

/// `sock:receive(size?)`.
fn receive(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!(
            "expecting 1 or 2 arguments (including the object), but got {n}"
        )));
    }
    let log = call.request.log();
    ngx_debug!(log, "lua udp socket calling receive() method");
    let Some(socket) = connected(call, "receive")? else {
        return call.fail(&SocketFailure::Closed.message());
    };
    if socket.is_waited_for() {
        return call.fail(&BUSY.message());
    }
    ngx_debug!(log, "lua udp socket read timeout: {}", socket.read_timeout.get());
    let size = match call.state.is_nil_or_none(2) {
        true => MAX_DATAGRAM,
        false => buffer_size(call.state.check_number(2)?),
    };
    ngx_debug!(log, "lua udp socket receive buffer size: {size}");
    socket.receive(call, size)
}

/// How many bytes to receive at most; a negative size or NaN means as many as there may be.
fn buffer_size(wanted: f64) -> usize {
    if wanted >= 0.0 { (wanted as usize).min(MAX_DATAGRAM) } else { MAX_DATAGRAM }
}

/// `sock:settimeout(milliseconds)`.
fn set_timeout(state: State) -> LuaResult {
    let n = state.top();
    if n != 2 {
        return Err(LuaError::text(format_args!(
            "ngx.socket settimeout: expecting at least 2 arguments (including the object) but \
             seen {n}"
        )));
    }
    state.check_kind(1, Kind::Table, c"table")?;
    let milliseconds = state.number(2);
    if milliseconds.is_nan() {
        return Err(LuaError::text("bad timeout value"));
    }
    let milliseconds = milliseconds as i64;
    handle::set_timeout(state, 1);
    if let Some(socket) = handle::socket(state, 1) {
        socket.set_timeout(milliseconds);
    }
    Ok(Returns::Values(0))
}

/// `sock:close()`.
fn close(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format_args!(
            "expecting 1 argument (including the object) but seen {n}"
        )));
    }
    call.state.check_kind(1, Kind::Table, c"table")?;
    let socket = handle::socket(call.state, 1).filter(|socket| socket.is_connected());
    let Some(socket) = socket else { return call.fail(&SocketFailure::Closed.message()) };
    socket.check_owner(call)?;
    if socket.is_waited_for() {
        return call.fail(&BUSY.message());
    }
    socket.finalize();
    call.succeed()
}

//! `sock:bind` and `sock:connect`: from where a cosocket connects, and to where.

use std::rc::Rc;

use codec::fallible::{self, Grow, OutOfMemory};
use smallvec::SmallVec;

use super::connect::Target;
use super::handle::{
    self, BIND, BIND_PORT, CONNECT_TIMEOUT, KEY, READ_TIMEOUT, SEND_TIMEOUT, TRANSPARENT,
};
use super::pool::{Pool, Pools};
use super::socket::{Busy, Socket, Timeouts};
use crate::api::call::Call;
use crate::api::print::pieces;
use crate::api::socket_failure::SocketFailure;
use crate::config::LocationConf;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State, TableAt};
use crate::nginx::core::address::Address;
use crate::nginx::core::log::Shown;
use crate::nginx::event::peer::Source;
use crate::ngx_debug;

/// The key of a connection pool: `HOST:PORT` by default.
type PoolKey = SmallVec<[u8; 64]>;

/// `sock:bind(address, port?)`.
pub fn bind(call: &Call) -> LuaResult {
    let (mut state, n) = (call.state, call.arguments());
    if n != 2 && n != 3 {
        return Err(LuaError::text(format_args!("expecting 2 or 3 arguments, but got {n}")));
    }
    call.check()?;
    state.check_kind(1, Kind::Table, c"table")?;
    let port = if n == 3 { bind_port(call)? } else { Ok(0) };
    let port = match port {
        Ok(port) => port,
        Err(failed) => return Ok(failed),
    };
    let text = state.check_bytes(2)?;
    if Address::ip(text).is_none() {
        return call.fail("bad address");
    }
    ngx_debug!(call.request.log(), "lua tcp socket bind ip: {}", Shown(text));
    state.push_value(2);
    state.raw_set_index(1, BIND);
    state.push_integer(port.into());
    state.raw_set_index(1, BIND_PORT);
    state.push_bool(true);
    Ok(Returns::Values(1))
}

/// The local port in argument 3. If that is no valid port, the inner `Err` has what `bind` returns.
fn bind_port(call: &Call) -> Result<Result<u16, Returns>, LuaError> {
    let state = call.state;
    if !state.is_number(3) {
        let kind = state.kind(3).name();
        let failed =
            call.fail_with(format_args!("expecting port to be anumber but got type: {kind}"));
        return failed.map(Err);
    }
    let number = state.integer(3);
    match u16::try_from(number) {
        Ok(port) => Ok(Ok(port)),
        Err(_) => call.fail_with(format_args!("bad port number: {number}")).map(Err),
    }
}

/// What `sock:connect` found in its options table. `pool_size` is 0 if neither it nor a backlog was
/// given.
#[derive(Default)]
struct Options {
    pool: Option<Vec<u8>>,
    pool_size: i64,
    backlog: Option<i64>,
}

/// `sock:connect(host, port?, options?)`.
pub fn connect(call: &Call) -> LuaResult {
    let (mut state, n) = (call.state, call.arguments());
    if !(2..=4).contains(&n) {
        return Err(LuaError::text(format_args!(
            "ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen {n}"
        )));
    }
    call.check()?;
    let table = state.table_argument(1)?;
    let host = state.check_bytes(2)?;
    let has_options = state.kind(n) == Kind::Table;
    let options = if has_options { options(call, n)? } else { Options::default() };
    let has_port = n - i32::from(has_options) >= 3 && state.is_number(3);
    let mut key = PoolKey::new();
    key.try_append(host)?;
    let mut port = 0;
    if has_port {
        let number = state.integer(3);
        let Ok(valid) = u16::try_from(number) else {
            return call.fail(&SocketFailure::bad_port(number).message());
        };
        port = valid;
        key.try_push(b':')?;
        pieces::append_scalar(state, 3, &mut key)?;
    } else if !host.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:")) {
        return call.fail("missing the port number");
    }
    let key = options.pool.as_deref().unwrap_or(&key);
    let socket = match reuse(call, table)? {
        Reuse::Socket(socket) => socket,
        Reuse::Busy(busy) => return busy.fail(call),
    };
    let pool = find_pool(call, key, &options)?;
    if pool.is_none() {
        state.push_bytes(key);
        state.raw_set_item(table, KEY);
    }
    let source = bound(state, table);
    socket.transparent.set(source.is_some_and(|source| source.transparent));
    let target = Target { host: state.check_bytes(2)?.into(), port, source };
    let [connect, send, read] =
        handle::integers(state, table, [CONNECT_TIMEOUT, SEND_TIMEOUT, READ_TIMEOUT]);
    socket.timeouts.set(Timeouts::new(LocationConf::of(&socket.conf.get()), connect, send, read));
    socket.connect(call, target, pool)
}

/// Whether `sock:setoption("ip-transparent", …)` allowed a source address that is not this
/// machine's.
fn wants_transparency(mut state: State, table: TableAt) -> bool {
    state.raw_get_item(table, TRANSPARENT);
    let asked = state.boolean(-1);
    state.pop(1);
    asked
}

/// Where to connect from: the address that `sock:bind` kept.
fn bound(mut state: State, table: TableAt) -> Option<Source> {
    state.raw_get_item(table, BIND);
    let address = state.bytes(-1).and_then(Address::ip);
    state.pop(1);
    let address = address?;
    let [port] = handle::integers(state, table, [BIND_PORT]);
    let address = address.with_port(u16::try_from(port).unwrap_or(0));
    Some(Source { address, transparent: wants_transparency(state, table) })
}

/// The pool with that key. If there is none, makes one, provided that the options ask for it.
fn find_pool(call: &Call, key: &[u8], options: &Options) -> Result<Option<Rc<Pool>>, OutOfMemory> {
    let pools = Pools::of(call.context.main_state());
    let found = pools.find(key);
    let (size, backlog) = (options.pool_size, options.backlog.unwrap_or(-1));
    if found.is_some() || size <= 0 {
        return Ok(found);
    }
    pools.create(key, size, backlog, call.request.log()).map(Some)
}

/// Reads the options table of `sock:connect` at index `table`.
#[inline(never)]
fn options(call: &Call, table: i32) -> Result<Options, LuaError> {
    let mut state = call.state;
    let mut options = Options::default();
    let bad = |what: &str, value: std::fmt::Arguments| {
        LuaError::argument(table, format_args!("bad \"{what}\" option {value}"))
    };
    state.get_field(table, c"pool_size");
    if state.is_number(-1) {
        options.pool_size = state.integer(-1);
        if options.pool_size <= 0 {
            return Err(bad("pool_size", format_args!("value: {}", options.pool_size)));
        }
    } else if !state.is_nil_or_none(-1) {
        return Err(bad("pool_size", format_args!("type: {}", state.kind(-1).name())));
    }
    state.pop(1);
    state.get_field(table, c"backlog");
    if state.is_number(-1) {
        let backlog = state.integer(-1);
        if backlog < 0 {
            return Err(bad("backlog", format_args!("value: {backlog}")));
        }
        options.backlog = Some(backlog);
        if options.pool_size == 0 {
            options.pool_size = call.context.location().socket_pool_size();
        }
    }
    state.pop(1);
    state.get_field(table, c"pool");
    match state.kind(-1) {
        Kind::Number | Kind::String => {
            options.pool = Some(fallible::copy(state.bytes(-1).unwrap_or_default())?);
        }
        Kind::Nil => {}
        kind => return Err(bad("pool", format_args!("type: {}", kind.name()))),
    }
    state.pop(1);
    Ok(options)
}

/// The answer of [`reuse`].
enum Reuse {
    Socket(Rc<Socket>),
    Busy(Busy),
}

/// The socket of `table`, closed and ready to connect again; a new one if the table
/// has none. `Busy` if a task waits for the socket.
fn reuse(call: &Call, table: TableAt) -> Result<Reuse, LuaError> {
    let Some(socket) = handle::socket(call.state, table) else {
        let socket = Socket::to_connect(call)?;
        handle::attach(call.state, table, socket.clone());
        return Ok(Reuse::Socket(socket));
    };
    if socket.hold.borrow().is_some() {
        socket.check_owner(call)?;
    }
    if let Some(busy) = socket.busy(true, true) {
        return Ok(Reuse::Busy(busy));
    }
    if socket.is_downstream() {
        return Err(LuaError::text("attempt to re-connect a request socket"));
    }
    let log = call.request.log();
    if socket.is_connected() {
        ngx_debug!(log, "lua tcp socket reconnect without shutting down");
        socket.finalize();
    }
    ngx_debug!(log, "lua reuse socket upstream ctx");
    socket.reset(call);
    Ok(Reuse::Socket(socket))
}

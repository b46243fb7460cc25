//! `sock:setkeepalive`, and the idle connections in a pool.

use std::rc::{Rc, Weak};

use super::handle;
use super::pool::{Pool, Pools, Seat};
use super::socket::{Socket, SocketKind};
#[cfg(ngx_feature = "http_ssl")]
use super::tls::Made;
use super::user_data::UserData;
use crate::api::call::Call;
use crate::lua::{LuaError, LuaResult};
use crate::nginx::core::log::{Log, cycle_log};
use crate::nginx::event::alarm;
use crate::nginx::event::peer::{Events, Peer};
use crate::nginx::event::server_log::ServerLog;
use crate::nginx::event::stream::{Direction, RestEnd, Stream};
use crate::ngx_debug;

/// An idle connection, and what goes with it from one socket to the next.
pub struct Idle {
    pub peer: Peer,
    pub seat: Seat,
    pub reused: u32,
    pub user_data: Option<UserData>,
    /// The log that names the server, if lines about errors do.
    pub server: Option<ServerLog>,
    #[cfg(ngx_feature = "http_ssl")]
    pub tls: Option<Box<Made>>,
}

/// What is left of an idle connection that is taken out of its pool.
pub enum Woken {
    Connection(Idle),
    /// The other side has closed it or sent something, so it was closed: what is left is its seat.
    Seat(Seat),
}

impl Idle {
    /// Ends its rest, for a request with this log.
    pub fn wake(self, log: Log) -> Woken {
        let stream = self.peer.stream();
        // nginx may not have reported it yet.
        if !stream.is_quiet() {
            ngx_debug!(log, "lua tcp socket keepalive: stale connection, fd:{}", stream.fd());
            return Woken::Seat(self.seat);
        }
        ngx_debug!(
            log,
            "lua tcp socket get keepalive peer: using connection {:p}, fd:{}",
            stream.as_ptr(),
            stream.fd()
        );
        self.peer.resume(log);
        Woken::Connection(self)
    }
}

/// Whether an idle connection may rest on.
fn may_rest(stream: Stream) -> bool {
    let rests = stream.rests_on();
    match rests {
        Err(RestEnd::WorkerExits) => {
            ngx_debug!(cycle_log(), "lua tcp socket keepalive: the worker exits");
        }
        Err(RestEnd::Timeout) => {
            ngx_debug!(cycle_log(), "lua tcp socket keepalive max idle timeout");
        }
        Err(RestEnd::Heard) | Ok(()) => {
            ngx_debug!(cycle_log(), "lua tcp socket keepalive close handler check stale events");
        }
    }
    if rests.is_err() {
        ngx_debug!(cycle_log(), "lua tcp socket keepalive close handler: fd:{}", stream.fd());
    }
    rests.is_ok()
}

/// A pool gets the events of the idle connections in it.
impl Events for Pool {
    fn on_read(self: Rc<Self>, stream: Stream) {
        if !may_rest(stream) {
            self.remove(stream);
        }
    }

    fn on_write(self: Rc<Self>, _: Stream) {
        ngx_debug!(cycle_log(), "keepalive dummy handler");
    }
}

/// `sock:setkeepalive(timeout?, size?)` with `arguments` arguments, the object included.
pub fn set_keepalive(call: &Call, socket: Option<Rc<Socket>>, arguments: i32) -> LuaResult {
    let log = call.request.log();
    let timeout = idle_timeout(call, arguments)?;
    let size = pool_size(call, arguments)?;
    let Some(socket) = &socket else { return call.fail("closed") };
    if let Some(reason) = unfit(socket) {
        return call.fail(reason);
    }
    socket.check_owner(call)?;
    if let Some(busy) = socket.busy(true, true) {
        return busy.fail(call);
    }
    if socket.kind != SocketKind::Upstream {
        return call.fail("attempt to keep a request socket");
    }
    let Some(stream) = socket.stream.get() else { return call.fail("closed") };
    if !socket.input.borrow().is_empty() {
        return call.fail("unread data in buffer");
    }
    if stream.is_broken() {
        return call.fail("invalid connection");
    }
    if socket.answer_due.get() {
        socket.finalize();
        handle::release(call.state, arguments);
        return call.fail(DUBIOUS);
    }
    if !stream.watch_read() {
        return call.fail("failed to handle read event");
    }
    if alarm::is_stopping() {
        ngx_debug!(
            log,
            "lua tcp socket set keepalive while process exiting, closing connection {:p}",
            stream.as_ptr()
        );
        socket.finalize();
        handle::release(call.state, arguments);
        return call.succeed();
    }
    ngx_debug!(log, "lua tcp socket set keepalive: saving connection {:p}", stream.as_ptr());
    let pool = match socket.seat.borrow().as_ref() {
        Some(seat) => seat.pool().clone(),
        None => {
            call.state.raw_get_index(1, handle::KEY);
            let Some(key) = call.state.bytes(-1) else { return call.fail("key not found") };
            pool_for(call, key, size, arguments)?
        }
    };
    let rests = rest(socket, pool, timeout, log);
    handle::release(call.state, arguments);
    if rests { call.succeed() } else { call.fail(DUBIOUS) }
}

/// The error for a connection whose next user would read what is meant for the present one.
const DUBIOUS: &str = "connection in dubious state";

/// Why the connection cannot be kept alive.
fn unfit(socket: &Socket) -> Option<&'static str> {
    let Some(stream) = socket.stream.get() else { return Some("closed") };
    let closed = socket.read_closed.get() || socket.write_closed.get() || stream.has_ended();
    closed.then_some("closed")
}

/// How long it may be idle, in milliseconds; 0 for any time.
fn idle_timeout(call: &Call, arguments: i32) -> Result<usize, LuaError> {
    if arguments < 2 || call.state.is_nil_or_none(2) {
        return Ok(call.context.location().socket_keepalive_timeout());
    }
    let milliseconds = call.state.check_integer(2)?;
    // As in the C module, a negative time ends it at once.
    Ok(usize::try_from(milliseconds).unwrap_or(1))
}

/// How many connections the pool has, if it is to be made.
fn pool_size(call: &Call, arguments: i32) -> Result<i64, LuaError> {
    if arguments < 3 || call.state.is_nil_or_none(3) {
        return Ok(call.context.location().socket_pool_size());
    }
    call.state.check_integer(3)
}

/// The pool that a connection without a seat goes into, the one with that key; made with `size` if there is none.
#[inline(never)]
fn pool_for(call: &Call, key: &[u8], size: i64, arguments: i32) -> Result<Rc<Pool>, LuaError> {
    let pools = Pools::of(call.context.main_state());
    if let Some(pool) = pools.find(key) {
        return Ok(pool);
    }
    if size <= 0 {
        let text = format_args!("bad \"pool_size\" option value: {size}");
        return Err(LuaError::argument(arguments, text));
    }
    Ok(pools.create(key, size, -1, call.request.log())?)
}

/// Moves the connection from the socket into the pool. False if it could not stay there, because
/// the other side has closed it or sent something, or for lack of memory.
fn rest(socket: &Rc<Socket>, pool: Rc<Pool>, timeout: usize, log: Log) -> bool {
    let Some(peer) = socket.peer.take() else { return false };
    ngx_debug!(log, "lua tcp socket clear current socket connection");
    socket.stream.set(None);
    let seat = match socket.seat.take() {
        Some(seat) if Rc::ptr_eq(seat.pool(), &pool) => seat,
        _ => pool.seat(),
    };
    peer.rest();
    let stream = peer.stream();
    if timeout == 0 {
        ngx_debug!(log, "lua tcp socket keepalive timeout: unlimited");
    } else {
        ngx_debug!(log, "lua tcp socket keepalive timeout: {timeout} ms");
        stream.timer(Direction::Read).set(timeout);
    }
    peer.set_user(Rc::downgrade(&pool) as Weak<dyn Events>);
    let idle = Idle {
        peer,
        seat,
        reused: socket.reused.get(),
        user_data: socket.user_data.take(),
        server: socket.server.take(),
        #[cfg(ngx_feature = "http_ssl")]
        tls: socket.tls.borrow_mut().take_made(),
    };
    // nginx may not have reported yet what has come.
    let kept = pool.put(idle).is_ok();
    let rests = kept && may_rest(stream);
    if kept && !rests {
        pool.remove(stream);
    }
    socket.finalize();
    if rests {
        pool.call_next();
    }
    rests
}

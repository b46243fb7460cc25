//! Connections that this module makes. Each has one owner, is closed on drop, and passes its events
//! to its current user.
//!
//! Once the process exits, nginx's structures may be gone: then dropping does nothing, and the
//! kernel closes the sockets.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::{Rc, Weak};

use export::callback;

use crate::nginx::core::address::Address;
use crate::nginx::core::log::{Log, cycle_log};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::event::Refusal;
use crate::nginx::event::server_log::ServerLog;
use crate::nginx::event::stream::{Direction, Stream};
use crate::nginx::sys::{
    NGX_AGAIN, NGX_OK, ngx_addr_t, ngx_close_connection,
    ngx_connection_log_error_e_NGX_ERROR_ERR as LOG_ERRORS, ngx_connection_t, ngx_destroy_pool,
    ngx_errno, ngx_event_connect_peer, ngx_event_t, ngx_int_t, ngx_peer_connection_t,
};
use crate::own_thread;

/// The size of a connection's pool, enough for what TLS allocates there.
#[cfg(ngx_feature = "http_ssl")]
const POOL_SIZE: usize = 256;

/// The user of a connection, who gets its events.
pub trait Events {
    /// There is something to read on `stream`, the other side closed, or the read timer ran out.
    fn on_read(self: Rc<Self>, stream: Stream);
    /// More can be written to `stream`, a connect has finished, or the write timer ran out.
    fn on_write(self: Rc<Self>, stream: Stream);
}

/// A connection to a peer.
pub struct Peer {
    shared: Box<PeerState>,
}

/// What nginx's connection points to; it does not move while the connection lives.
struct PeerState {
    stream: Stream,
    user: RefCell<Option<Weak<dyn Events>>>,
    /// The log that it logs to, if that names its server.
    server: RefCell<Option<ServerLog>>,
    /// The connection belongs to a request now, which closes it.
    given_away: Cell<bool>,
}

own_thread! {
    /// Set when the process is about to end: see the top of this file.
    static LEFT: Cell<bool> = Cell::new(false);
}

/// Leaves all connections to the kernel from now on, because the process is about to end.
pub fn leave() {
    LEFT.set(true);
}

/// Whether [`leave`] was called.
pub fn has_left() -> bool {
    LEFT.get()
}

/// How a connect began.
pub enum Connecting {
    Done(Peer),
    /// Its write event tells when it has finished.
    Waiting(Peer),
}

/// Where to connect from.
#[derive(Clone, Copy)]
pub struct Source {
    pub address: Address,
    /// It may be another machine's (`IP_TRANSPARENT`).
    pub transparent: bool,
}

/// Starts to connect to `address`, from `source` if given; `name` is what nginx's log lines call
/// it. nginx logs what fails here to `errors`, and what happens to the connection later to `log`.
pub fn connect(
    address: &Address,
    name: &str,
    source: Option<&Source>,
    errors: Log,
    log: Log,
) -> Result<Connecting, Refusal> {
    let mut name = strings::borrowed(name.as_bytes());
    // SAFETY: nginx uses the structure, the name and the addresses during the call only; zero is
    // what it expects in every field that is not set. The connection is ours afterwards.
    unsafe {
        let mut peer: ngx_peer_connection_t = std::mem::zeroed();
        peer.sockaddr = address.as_ptr();
        peer.socklen = address.len();
        peer.name = &mut name;
        peer.get = Some(get_peer);
        peer.log = errors.as_ptr();
        peer.set_log_error(LOG_ERRORS);
        let mut from: ngx_addr_t = std::mem::zeroed();
        let local_text;
        if let Some(Source { address, transparent }) = source {
            local_text = address.text(false);
            from.sockaddr = address.as_ptr();
            from.socklen = address.len();
            from.name = strings::borrowed(local_text.as_bytes());
            peer.local = &mut from;
            peer.set_transparent(u32::from(*transparent));
        }
        let rc = ngx_event_connect_peer(&mut peer);
        let error = ngx_errno();
        let made = Stream::from_ptr(peer.connection);
        match (rc, made) {
            (NGX_OK, Some(stream)) => Ok(Connecting::Done(Peer::own(stream, log))),
            (NGX_AGAIN, Some(stream)) => Ok(Connecting::Waiting(Peer::own(stream, log))),
            (_, Some(stream)) => {
                ngx_close_connection(stream.as_ptr());
                Err(Refusal::System(error))
            }
            (_, None) => Err(Refusal::of_last()),
        }
    }
}

/// nginx asks which peer to use: the one that is set already.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "it does nothing")]
unsafe extern "C" fn get_peer(_: *mut ngx_peer_connection_t, _: *mut c_void) -> ngx_int_t {
    NGX_OK
}

impl Peer {
    /// Takes ownership of a connection that nginx made.
    fn own(stream: Stream, log: Log) -> Peer {
        let shared = Box::new(PeerState {
            stream,
            user: RefCell::default(),
            server: RefCell::default(),
            given_away: Cell::new(false),
        });
        let peer = Peer { shared };
        let c = stream.as_ptr();
        // SAFETY: a live connection that has no other owner. The box lives until `self` is dropped,
        // which closes the connection, unless `give_away` has cleared its data.
        unsafe {
            (*c).data = std::ptr::from_ref::<PeerState>(&peer.shared).cast_mut().cast();
            (*(*c).read).handler = Some(on_event);
            (*(*c).write).handler = Some(on_event);
        }
        peer.set_log(log);
        peer
    }

    /// Takes over from a request a connection that nginx made for it; `None` for a null pointer.
    ///
    /// # Safety
    /// `c` must be null or a live connection with its events and a pool, which its request gives up.
    pub(in crate::nginx) unsafe fn adopt(c: *mut ngx_connection_t) -> Option<Peer> {
        // SAFETY: `c` is null or live, and its request gives it up: the contract of this function.
        unsafe {
            let stream = Stream::from_ptr(c)?;
            (*(*c).read).set_delayed(0);
            Some(Peer::own(stream, Log::from_ptr((*c).log)))
        }
    }

    /// Gives the connection to a request, which logs to `log` and sets its events.
    pub(in crate::nginx) fn give_away(self, log: Log) -> *mut ngx_connection_t {
        self.resume(log);
        self.shared.given_away.set(true);
        let c = self.stream().as_ptr();
        // SAFETY: a live connection.
        unsafe {
            (*c).sent = 0;
            (*c).data = std::ptr::null_mut();
        }
        c
    }

    pub fn stream(&self) -> Stream {
        self.shared.stream
    }

    /// Passes its events to `user` from now on, for as long as that lives.
    pub fn set_user(&self, user: Weak<dyn Events>) {
        *self.shared.user.borrow_mut() = Some(user);
    }

    /// Logs to `server` from now on, until it rests or is given away.
    pub fn log_to(&self, server: &ServerLog) {
        self.set_log(server.log());
        *self.shared.server.borrow_mut() = Some(server.clone());
    }

    fn set_log(&self, log: Log) {
        let c = self.stream().as_ptr();
        // SAFETY: a live connection with its events; its pool is null or live.
        unsafe {
            (*c).log = log.as_ptr();
            (*(*c).read).log = log.as_ptr();
            (*(*c).write).log = log.as_ptr();
            if let Some(pool) = (*c).pool.as_mut() {
                pool.log = log.as_ptr();
            }
        }
        drop(self.shared.server.take());
    }

    /// Makes the connection's pool, if it has none.
    #[cfg(ngx_feature = "http_ssl")]
    pub(in crate::nginx) fn make_pool(&self) -> Result<(), OutOfMemory> {
        let c = self.stream().as_ptr();
        // SAFETY: a live connection, with a log; `close` destroys the pool.
        unsafe {
            if (*c).pool.is_null() {
                (*c).pool = crate::nginx::sys::ngx_create_pool(POOL_SIZE, (*c).log);
            }
            if (*c).pool.is_null() { Err(OutOfMemory) } else { Ok(()) }
        }
    }

    /// Marks the connection as idle: when the worker exits, nginx tells the user to close it by
    /// calling `on_read`.
    pub fn rest(&self) {
        self.stream().timer(Direction::Read).clear();
        self.stream().timer(Direction::Write).clear();
        self.set_log(cycle_log());
        // SAFETY: a live connection.
        unsafe { (*self.stream().as_ptr()).set_idle(1) }
    }

    /// Marks the connection as in use again.
    pub fn resume(&self, log: Log) {
        self.stream().timer(Direction::Read).clear();
        self.set_log(log);
        // SAFETY: a live connection.
        unsafe { (*self.stream().as_ptr()).set_idle(0) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !LEFT.get() && !self.shared.given_away.get() {
            // SAFETY: the connection is ours, and closed once.
            unsafe { close(self.stream().as_ptr()) }
        }
    }
}

/// Closes a connection and destroys its pool.
///
/// # Safety
/// `c` must be a live connection that is not used afterwards.
unsafe fn close(c: *mut ngx_connection_t) {
    // SAFETY: `c` is live and not used afterwards, the contract of this function.
    unsafe {
        #[cfg(ngx_feature = "http_ssl")]
        if let Some(ssl) = (*c).ssl.as_mut() {
            ssl.set_no_wait_shutdown(1);
            ssl.set_no_send_shutdown(1);
            crate::nginx::sys::ngx_ssl_shutdown(c);
        }
        let pool = std::mem::replace(&mut (*c).pool, std::ptr::null_mut());
        if !pool.is_null() {
            ngx_destroy_pool(pool);
        }
        ngx_close_connection(c);
    }
}

/// nginx's event of a peer's connection.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    // SAFETY: nginx passes an event of a live connection, whose data `own` set.
    let (user, stream, is_write) = unsafe {
        let c: *mut ngx_connection_t = (*event).data.cast();
        let shared: *const PeerState = (*c).data.cast();
        let user = (*shared).user.borrow().as_ref().and_then(Weak::upgrade);
        (user, (*shared).stream, (*event).write() != 0)
    };
    // The user may close the connection, so it is not used after this.
    match user {
        Some(user) if is_write => user.on_write(stream),
        Some(user) => user.on_read(stream),
        None => {}
    }
}

/// nginx calls this at the end of a handshake, during which it had the connection's events: takes
/// them back, and passes one to the user.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[cfg(ngx_feature = "http_ssl")]
#[callback(unguarded = "`on_event` has a guard")]
pub(in crate::nginx) unsafe extern "C" fn take_events_back(c: *mut ngx_connection_t) {
    // SAFETY: nginx passes a live connection, which `own` set up.
    unsafe {
        (*(*c).read).handler = Some(on_event);
        (*(*c).write).handler = Some(on_event);
        on_event((*c).read);
    }
}

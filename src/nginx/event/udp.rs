//! Connected datagram sockets, internet and unix domain ones. Each has one owner, is closed on
//! drop, and passes read events to its current user.

use std::cell::RefCell;
use std::ptr::addr_of_mut;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicUsize, Ordering};

use export::callback;

use crate::nginx::core::address::Address;
use crate::nginx::core::log::{Level, Log};
use crate::nginx::event::Refusal;
use crate::nginx::event::event_timer::EventTimer;
use crate::nginx::event::peer::has_left;
use crate::nginx::event::server_log::ServerLog;
use crate::nginx::sys::{
    NGX_AGAIN, ngx_close_connection, ngx_connection_counter, ngx_connection_t, ngx_errno,
    ngx_event_t, ngx_free_connection, ngx_get_connection, ngx_handle_read_event, ngx_io,
    ngx_nonblocking,
};
use crate::ngx_debug;

/// The user of a socket, who gets its read events.
pub trait Receiver {
    /// A datagram or an error is there to be read, or the timer ran out.
    fn on_read(self: Rc<Self>);
}

/// A datagram socket with a peer.
pub struct Connection {
    shared: Box<SocketState>,
}

/// What nginx's connection points to; it does not move while the connection lives.
struct SocketState {
    connection: *mut ngx_connection_t,
    receiver: RefCell<Option<Weak<dyn Receiver>>>,
    /// The log that it logs to, if that names its peer.
    _server: Option<ServerLog>,
}

/// How receiving went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A datagram, of which this many bytes were received; what did not fit is lost.
    Datagram(usize),
    /// There is none now.
    Again,
    /// The system's error number.
    Failed(i32),
}

/// Makes a socket whose peer is `address`, and that sends from `local` where given. It logs what fails
/// to `server`, where given, and else to the request's log.
pub fn connect(
    address: &Address,
    local: Option<&Address>,
    request_log: Log,
    server: Option<ServerLog>,
) -> Result<Connection, Refusal> {
    let log = server.as_ref().map_or(request_log, ServerLog::log);
    let connection = open(address.family(), log, server)?;
    let c = connection.shared.connection;
    // SAFETY: a live connection of ours; the addresses are valid for their lengths.
    unsafe {
        if address.family() == libc::AF_UNIX {
            ngx_debug!(log, "datagram unix domain socket autobind");
            let mut any: libc::sockaddr = std::mem::zeroed();
            any.sa_family = libc::AF_UNIX as libc::sa_family_t;
            let len = size_of::<libc::sa_family_t>() as libc::socklen_t;
            if libc::bind((*c).fd, &any, len) == -1 {
                return Err(failed(log, Level::Crit, "bind() failed"));
            }
        } else if let Some(local) = local
            && libc::bind((*c).fd, local.as_ptr().cast(), local.len()) == -1
        {
            let text = codec::fallible::text(format_args!("bind({}) failed", local.text(false)));
            return Err(failed(log, Level::Crit, &text));
        }
        ngx_debug!(log, "connect to {}, fd:{} #{}", address.text(true), (*c).fd, (*c).number);
        if libc::connect((*c).fd, address.as_ptr().cast(), address.len()) == -1 {
            return Err(failed(log, Level::Crit, "connect() failed"));
        }
        // A datagram socket can always be written to.
        (*(*c).write).set_ready(1);
    }
    if connection.watch() { Ok(connection) } else { Err(Refusal::System(0)) }
}

/// A socket that nginx knows as a connection, which logs to `log`, that of `server` where given.
fn open(family: i32, log: Log, server: Option<ServerLog>) -> Result<Connection, Refusal> {
    // SAFETY: a fresh descriptor; nginx gives a connection with its events, or null and leaves the
    // descriptor alone.
    unsafe {
        let fd = libc::socket(family, libc::SOCK_DGRAM, 0);
        ngx_debug!(log, "UDP socket {fd}");
        if fd == -1 {
            return Err(failed(log, Level::Alert, "socket() failed"));
        }
        let c = ngx_get_connection(fd, log.as_ptr());
        if c.is_null() {
            libc::close(fd);
            return Err(Refusal::NoConnection);
        }
        if ngx_nonblocking(fd) == -1 {
            let error = failed(log, Level::Alert, "fcntl(O_NONBLOCK) failed");
            ngx_free_connection(c);
            libc::close(fd);
            return Err(error);
        }
        // nginx's workers share this counter, and only ever add to it.
        let number = AtomicUsize::from_ptr(ngx_connection_counter.cast());
        (*c).number = number.fetch_add(1, Ordering::Relaxed) as u64;
        let shared =
            Box::new(SocketState { connection: c, receiver: RefCell::default(), _server: server });
        (*c).data = std::ptr::from_ref::<SocketState>(&shared).cast_mut().cast();
        (*c).log = log.as_ptr();
        (*(*c).read).log = log.as_ptr();
        (*(*c).write).log = log.as_ptr();
        (*(*c).read).handler = Some(on_read);
        Ok(Connection { shared })
    }
}

/// Logs the system's last error, and returns it.
fn failed(log: Log, level: Level, text: &str) -> Refusal {
    let error = ngx_errno();
    log.write_errno(level, error, text.as_bytes());
    Refusal::System(error)
}

impl Connection {
    /// Passes its read events to `receiver` from now on, for as long as that lives.
    pub fn set_receiver(&self, receiver: Weak<dyn Receiver>) {
        *self.shared.receiver.borrow_mut() = Some(receiver);
    }

    fn read_event(&self) -> *mut ngx_event_t {
        // SAFETY: the connection lives until `self` is dropped, and has its events; so in every
        // method below.
        unsafe { (*self.shared.connection).read }
    }

    /// Sends one datagram; returns how much of it was sent, or the system's error number.
    pub fn send(&self, bytes: &[u8]) -> Result<usize, i32> {
        let c = self.shared.connection;
        // SAFETY: nginx only reads the bytes, although its prototype is not const; its table of
        // functions is set before any connection is made.
        let n = unsafe {
            match (*addr_of_mut!(ngx_io)).send {
                Some(send) => send(c, bytes.as_ptr().cast_mut(), bytes.len()),
                None => return Err(0),
            }
        };
        usize::try_from(n).map_err(|_| ngx_errno())
    }

    /// Receives one datagram into `buffer`; what does not fit is lost.
    pub fn receive(&self, buffer: &mut [u8]) -> Received {
        let c = self.shared.connection;
        // SAFETY: nginx writes no more than the buffer's length; the table as in `send`.
        let n = unsafe {
            match (*addr_of_mut!(ngx_io)).udp_recv {
                Some(receive) => receive(c, buffer.as_mut_ptr(), buffer.len()),
                None => return Received::Failed(0),
            }
        };
        match n {
            NGX_AGAIN => Received::Again,
            n => usize::try_from(n)
                .map_or_else(|_| Received::Failed(ngx_errno()), Received::Datagram),
        }
    }

    /// Asks nginx to report when there is something to read; with a level-triggered event method,
    /// stops it from reporting again what nothing reads. False if that fails.
    pub fn watch(&self) -> bool {
        // SAFETY: see `read_event`.
        unsafe { ngx_handle_read_event(self.read_event(), 0) == 0 }
    }

    /// Whether nginx reports when there is something to read.
    pub fn is_watched(&self) -> bool {
        // SAFETY: see `read_event`.
        unsafe { (*self.read_event()).active() != 0 }
    }

    /// The timer of its read event.
    pub fn timer(&self) -> EventTimer<'_> {
        // SAFETY: see `read_event`.
        unsafe { EventTimer::of(self.read_event()) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !has_left() {
            // SAFETY: the connection is ours, and closed once; nginx removes its events and timer.
            unsafe { ngx_close_connection(self.shared.connection) }
        }
    }
}

/// nginx's read event of a connection.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn on_read(event: *mut ngx_event_t) {
    // SAFETY: nginx passes an event of a live connection, whose data `open` set.
    let receiver = unsafe {
        let c: *const ngx_connection_t = (*event).data.cast();
        let shared: *const SocketState = (*c).data.cast();
        (*shared).receiver.borrow().as_ref().and_then(Weak::upgrade)
    };
    // The receiver may close the connection, so it is not used after this.
    if let Some(receiver) = receiver {
        receiver.on_read();
    }
}

//! Reading from and writing to a connection, a peer's or the client's, without waiting; and asking
//! nginx to report when more can be done.
//!
//! All bytes go through the connection's own `recv` and `send`, so TLS works as plain TCP does.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use codec::fallible::{self, Shown};

use crate::nginx::core::log::Log;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::event::alarm;
use crate::nginx::event::event_timer::EventTimer;
use crate::nginx::sys::{
    NGX_AGAIN, NGX_CLOSE_EVENT, NGX_ERROR, ngx_connection_error, ngx_connection_t,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_SET as NODELAY_SET,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_UNSET as NODELAY_UNSET, ngx_errno,
    ngx_event_actions, ngx_event_t, ngx_handle_read_event, ngx_handle_write_event, ngx_set_errno,
};

/// One direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Read,
    Write,
}

/// How reading or writing went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Io {
    /// This many bytes were read or written.
    Done(usize),
    /// Nothing is possible now.
    Again,
    /// The other side sends no more.
    Closed,
    /// The system's error number.
    Failed(i32),
}

/// A text that nginx may take for a format: there is no `%` in it.
#[derive(Clone, Copy)]
pub struct PlainText(&'static CStr);

impl PlainText {
    pub const fn new(text: &'static CStr) -> PlainText {
        let mut rest = text.to_bytes();
        while let [first, others @ ..] = rest {
            assert!(*first != b'%', "nginx would look for an argument");
            rest = others;
        }
        PlainText(text)
    }
}

/// A live connection; copies are the same one. The owner of the connection drops every copy before
/// it closes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stream(NonNull<ngx_connection_t>);

impl Stream {
    /// # Safety
    /// `c` must be null or a live connection with its events; the value must not be used after it
    /// is closed.
    pub unsafe fn from_ptr(c: *mut ngx_connection_t) -> Option<Stream> {
        NonNull::new(c).map(Stream)
    }

    pub fn as_ptr(self) -> *mut ngx_connection_t {
        self.0.as_ptr()
    }

    fn event(self, direction: Direction) -> *mut ngx_event_t {
        // SAFETY: the connection is live and has its events, `from_ptr`'s contract; so in every
        // method below.
        unsafe {
            match direction {
                Direction::Read => (*self.as_ptr()).read,
                Direction::Write => (*self.as_ptr()).write,
            }
        }
    }

    pub fn log(self) -> Log {
        // SAFETY: a live connection has a log.
        unsafe { Log::from_ptr((*self.as_ptr()).log) }
    }

    pub fn fd(self) -> c_int {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).fd }
    }

    /// Whether the descriptor is not its own, but that of all connections of a listening UDP socket: so it is in
    /// HTTP/3.
    pub fn shares_descriptor(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).shared() != 0 }
    }

    /// Sets the descriptor; does not close the old one.
    pub fn set_fd(self, fd: c_int) {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).fd = fd }
    }

    /// How many bytes have been sent; those of a TLS handshake do not count.
    pub fn sent(self) -> i64 {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).sent }
    }

    /// Reads at most `max` bytes, which is not 0, and appends them to `buffer`.
    pub fn recv(self, buffer: &mut Vec<u8>, max: usize) -> Result<Io, OutOfMemory> {
        let c = self.as_ptr();
        self.forget_error();
        buffer.try_reserve(max).map_err(|_| OutOfMemory)?;
        let room = buffer.spare_capacity_mut().as_mut_ptr();
        // SAFETY: the spare capacity is at least `max` bytes, and nginx writes no more.
        let n = unsafe {
            match (*c).recv {
                Some(recv) => recv(c, room.cast(), max),
                None => NGX_ERROR,
            }
        };
        if n == NGX_AGAIN {
            return Ok(Io::Again);
        }
        let Ok(read) = usize::try_from(n) else { return Ok(Io::Failed(ngx_errno())) };
        if read == 0 {
            return Ok(Io::Closed);
        }
        // SAFETY: nginx has written that many bytes.
        unsafe { buffer.set_len(buffer.len() + read.min(max)) };
        Ok(Io::Done(read))
    }

    /// Writes as much of `bytes`, which is not empty, as the connection takes.
    pub fn send(self, bytes: &[u8]) -> Io {
        let c = self.as_ptr();
        self.forget_error();
        // SAFETY: nginx only reads the bytes, although its prototype is not const.
        let n = unsafe {
            match (*c).send {
                Some(send) => send(c, bytes.as_ptr().cast_mut(), bytes.len()),
                None => NGX_ERROR,
            }
        };
        if n == NGX_AGAIN {
            return Io::Again;
        }
        usize::try_from(n).map_or_else(|_| Io::Failed(ngx_errno()), Io::Done)
    }

    /// Whether there may be something to read: the event method reported it, or TLS has read ahead.
    pub fn is_readable(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.event(Direction::Read)).ready() != 0 || self.has_read_ahead() }
    }

    #[cfg(ngx_feature = "http_ssl")]
    fn has_read_ahead(self) -> bool {
        // SAFETY: see `event`; a connection with TLS has OpenSSL's part of it.
        unsafe {
            let tls = (*self.as_ptr()).ssl.as_ref();
            tls.is_some_and(|tls| crate::nginx::sys::SSL_has_pending(tls.connection) != 0)
        }
    }

    #[cfg(not(ngx_feature = "http_ssl"))]
    fn has_read_ahead(self) -> bool {
        false
    }

    #[cfg(ngx_feature = "http_ssl")]
    fn has_tls(self) -> bool {
        // SAFETY: see `event`.
        unsafe { !(*self.as_ptr()).ssl.is_null() }
    }

    #[cfg(not(ngx_feature = "http_ssl"))]
    fn has_tls(self) -> bool {
        false
    }

    /// Clears the system's error number: TLS may fail for reasons of its own, without setting it.
    fn forget_error(self) {
        if self.has_tls() {
            ngx_set_errno(0);
        }
    }

    /// Posts the read event: its handler runs once the running code has yielded.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn post_read(self) {
        // SAFETY: see `event`; closing the connection takes the event out.
        unsafe { alarm::post(self.event(Direction::Read)) }
    }

    /// Whether nginx reports when there is something to read.
    pub fn is_watched(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.event(Direction::Read)).active() != 0 }
    }

    /// Asks nginx to report when there is more to read; false if that fails.
    pub fn watch_read(self) -> bool {
        // SAFETY: see `event`.
        unsafe { ngx_handle_read_event(self.event(Direction::Read), 0) == 0 }
    }

    /// Asks nginx to report when `low_water` bytes can be written; false if that fails.
    pub fn watch_write(self, low_water: usize) -> bool {
        // SAFETY: see `event`.
        unsafe { ngx_handle_write_event(self.event(Direction::Write), low_water) == 0 }
    }

    /// The timer of one direction.
    pub fn timer(&self, direction: Direction) -> EventTimer<'_> {
        // SAFETY: see `event`.
        unsafe { EventTimer::of(self.event(direction)) }
    }

    /// Whether nginx has closed it because `worker_shutdown_timeout` ran out.
    pub fn is_shut_down(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).close() != 0 && (*self.as_ptr()).error() != 0 }
    }

    /// Whether nginx wants it closed, because the worker exits.
    pub fn is_to_close(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).close() != 0 }
    }

    /// Whether the other side has closed its half, as far as is known without reading.
    pub fn has_ended(self) -> bool {
        let event = self.event(Direction::Read);
        // SAFETY: see `event`.
        unsafe { (*event).eof() != 0 || (*event).pending_eof() != 0 }
    }

    /// Whether one of the events is marked with an error, or a timeout that was not handled.
    pub fn is_broken(self) -> bool {
        [Direction::Read, Direction::Write].into_iter().any(|direction| {
            let event = self.event(direction);
            // SAFETY: see `event`.
            unsafe { (*event).error() != 0 || (*event).timedout() != 0 }
        })
    }

    /// Marks the connection as broken.
    pub fn set_error(self) {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).set_error(1) }
    }

    /// Marks the writing side as broken: nginx sends nothing more.
    pub fn set_write_error(self) {
        // SAFETY: see `event`.
        unsafe { (*self.event(Direction::Write)).set_error(1) }
    }

    /// Removes one direction from nginx for good: its timer and its events.
    pub fn shut(self, direction: Direction) {
        let event = self.event(direction);
        let which = match direction {
            Direction::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Direction::Write => libc::EPOLLOUT,
        };
        // SAFETY: see `event`; nginx's event actions are set in every worker.
        unsafe {
            if ((*event).active() != 0 || (*event).disabled() != 0)
                && let Some(del) = (*std::ptr::addr_of!(ngx_event_actions)).del
            {
                del(event, which as isize, NGX_CLOSE_EVENT as usize);
            }
            alarm::take_out(event);
            (*event).set_closed(1);
        }
    }

    /// The error of a connect that has finished; 0 for none.
    pub fn connect_error(self) -> i32 {
        let mut error: c_int = 0;
        let mut len = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the kernel writes one int.
        let rc = unsafe {
            libc::getsockopt(
                self.fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &mut len,
            )
        };
        if rc == -1 { ngx_errno() } else { error }
    }

    /// Logs a system error, at the level that nginx uses for such errors.
    pub fn log_error(self, error: i32, text: PlainText) {
        // SAFETY: nginx only reads the text; without a `%`, it looks for no further arguments.
        unsafe {
            ngx_connection_error(self.as_ptr(), error, text.0.as_ptr().cast_mut());
        }
    }

    /// Whether the kernel may still delay small pieces (Nagle's algorithm).
    pub fn delays_small_writes(self) -> bool {
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).tcp_nodelay() == NODELAY_UNSET }
    }

    /// Has small pieces sent at once from now on (`TCP_NODELAY`).
    pub fn set_nodelay(self) -> Result<(), i32> {
        self.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        // SAFETY: see `event`.
        unsafe { (*self.as_ptr()).set_tcp_nodelay(NODELAY_SET) };
        Ok(())
    }

    /// Reads a socket option with an `int` value; fails with the system's error number.
    pub fn option(self, level: c_int, name: c_int) -> Result<c_int, i32> {
        let mut value: c_int = 0;
        let mut len = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the kernel writes one int.
        let rc =
            unsafe { libc::getsockopt(self.fd(), level, name, (&raw mut value).cast(), &mut len) };
        if rc == -1 { Err(ngx_errno()) } else { Ok(value) }
    }

    /// Sets a socket option with an `int` value; fails with the system's error number.
    pub fn set_option(self, level: c_int, name: c_int, value: c_int) -> Result<(), i32> {
        let len = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the kernel reads one int.
        let rc =
            unsafe { libc::setsockopt(self.fd(), level, name, (&raw const value).cast(), len) };
        if rc == -1 { Err(ngx_errno()) } else { Ok(()) }
    }

    /// Whether the other side has sent nothing and is still there. Takes no data off the
    /// connection, except with TLS: there, a byte that was sent is lost, so the connection is of no
    /// more use. Messages of TLS itself (session tickets) count as nothing.
    pub fn is_quiet(self) -> bool {
        if self.has_tls() {
            return self.recv(&mut Vec::new(), 1) == Ok(Io::Again);
        }
        let mut byte = 0u8;
        // SAFETY: the kernel writes one byte at most, to a byte of ours.
        let n = unsafe { libc::recv(self.fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK) };
        n == -1 && ngx_errno() == libc::EAGAIN
    }

    /// Whether an idle connection may rest on, after an event or before the first: fails with what ends its rest.
    pub fn rests_on(self) -> Result<(), RestEnd> {
        if self.is_to_close() {
            return Err(RestEnd::WorkerExits);
        }
        if self.timer(Direction::Read).take_timeout() {
            return Err(RestEnd::Timeout);
        }
        if self.is_quiet() && self.watch_read() { Ok(()) } else { Err(RestEnd::Heard) }
    }
}

/// What ends the rest of an idle connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestEnd {
    WorkerExits,
    /// Its read timer has expired.
    Timeout,
    /// The other side has closed it or sent something, or nginx cannot watch it.
    Heard,
}

/// The system's description of an error number, in lower case as in LuaSocket.
pub fn describe_error(error: i32) -> String {
    let mut text = [0u8; 256];
    // SAFETY: nginx writes no more than the length that it is given.
    let end = unsafe { crate::nginx::sys::ngx_strerror(error, text.as_mut_ptr(), text.len()) };
    let len = (end as usize).saturating_sub(text.as_ptr() as usize);
    let text = Shown(text.get(..len).unwrap_or_default());
    let mut words = fallible::text(format_args!("{text}"));
    words.make_ascii_lowercase();
    words
}

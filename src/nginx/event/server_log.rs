//! A log whose lines name the server of a connection, before what a request's log adds to them.
//!
//! nginx's functions log to it what they find wrong with a connection. It may outlive the request
//! whose log stands behind it, but nothing is logged to it then: a connection that is not in use
//! logs elsewhere.

use std::cell::{Cell, UnsafeCell};
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};
use export::callback;

use crate::nginx::core::address::Address;
use crate::nginx::core::log::{Line, Log, Shown};
use crate::nginx::sys::{ngx_log_t, u_char};

/// Such a log; clones are the same one. A connection that logs to it has a share of it.
#[derive(Clone)]
pub struct ServerLog {
    /// nginx has pointers to it: it does not move.
    state: Rc<State>,
}

struct State {
    log: UnsafeCell<ngx_log_t>,
    /// The request's, which knows what else to add.
    behind: Cell<Log>,
    host: Vec<u8>,
    /// 0 for a unix domain socket.
    port: u16,
    address: Cell<Option<Address>>,
}

impl ServerLog {
    /// One of the server that a script calls `host`, in front of the request's log `behind`.
    pub fn new(behind: Log, host: &[u8], port: u16) -> Result<ServerLog, OutOfMemory> {
        let is_path = host.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
        // SAFETY: plain data, for which zero is a value; `stand_before` sets it.
        let log = unsafe { std::mem::zeroed() };
        let state = Rc::new(State {
            log: UnsafeCell::new(log),
            behind: Cell::new(behind),
            host: fallible::copy(host)?,
            port: if is_path { 0 } else { port },
            address: Cell::new(None),
        });
        let server_log = ServerLog { state };
        server_log.stand_before(behind);
        Ok(server_log)
    }

    /// Stands in front of the request's log `behind` from now on.
    pub fn stand_before(&self, behind: Log) {
        self.state.behind.set(behind);
        let state = std::ptr::from_ref::<State>(&self.state);
        // SAFETY: the request's log is null or live; nobody has a reference to ours, and nginx does not
        // write to it meanwhile.
        unsafe {
            let log = self.state.log.get();
            if let Some(behind) = behind.as_ptr().as_ref() {
                *log = *behind;
            }
            (*log).handler = Some(add_server);
            (*log).data = state.cast_mut().cast();
        }
    }

    /// The address that is connected to; lines name it beside the host.
    pub fn set_address(&self, address: Address) {
        self.state.address.set(Some(address));
    }

    /// The log. The handle does not keep it.
    pub fn log(&self) -> Log {
        // SAFETY: the log lives as long as a share of it. A handle is kept by nothing but a connection,
        // which has a share.
        unsafe { Log::from_ptr(self.state.log.get()) }
    }
}

impl State {
    /// `, upstream: HOST:PORT(ADDRESS)`.
    fn text(&self) -> Line {
        let mut line = Line::new();
        line.append(b", upstream: ");
        self.add_server_to(&mut line);
        line
    }

    /// `HOST:PORT(ADDRESS)`.
    fn add_server_to(&self, line: &mut Line) {
        line.add(format_args!("{}", Shown(&self.host)));
        if self.port != 0 {
            line.add(format_args!(":{}", self.port));
        }
        if let Some(address) = self.address.get() {
            line.add(format_args!("({})", address.text(false)));
        }
    }
}

/// What a log of this kind adds to a line, and the log behind it; `None` for a log of another kind.
///
/// # Safety
/// If it is the log of a [`ServerLog`], that must be alive.
pub unsafe fn parts(log: &ngx_log_t) -> Option<(Line, Log)> {
    type Handler = unsafe extern "C" fn(*mut ngx_log_t, *mut u_char, usize) -> *mut u_char;
    let is_one = log.handler.is_some_and(|of| std::ptr::fn_addr_eq(of, add_server as Handler));
    // SAFETY: the handler is ours, so `data` is the state of a `ServerLog`, which is alive: the
    // contract of this function.
    let state = is_one.then(|| unsafe { &*log.data.cast::<State>() })?;
    let mut line = Line::new();
    state.add_server_to(&mut line);
    Some((line, state.behind.get()))
}

/// nginx asks for the end of a line.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(buffer)]
unsafe extern "C" fn add_server(
    log: *mut ngx_log_t,
    buffer: *mut u_char,
    room: usize,
) -> *mut u_char {
    // SAFETY: `data` is the state of a log that is alive; `room` bytes may be written at `buffer`,
    // which `text` does not overlap. The request's log is live, because the connection is in use.
    unsafe {
        let state = &*(*log).data.cast::<State>();
        let line = state.text();
        let len = line.bytes().len().min(room);
        std::ptr::copy_nonoverlapping(line.bytes().as_ptr(), buffer, len);
        let end = buffer.add(len);
        let behind = state.behind.get().as_ptr();
        match behind.as_ref().and_then(|behind| behind.handler) {
            Some(handler) => handler(behind, end, room - len),
            None => end,
        }
    }
}

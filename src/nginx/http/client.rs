//! The client's connection: output that waits, and clients that close it.

use crate::nginx::core::log::{Level, Shown};
use crate::nginx::core::status::Status;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_LOWLEVEL_BUFFERED, NGX_LOWLEVEL_BUFFERED,
    NGX_READ_EVENT, NGX_USE_LEVEL_EVENT, NGX_WRITE_EVENT, ngx_add_timer, ngx_connection_t,
    ngx_del_timer, ngx_event_actions, ngx_event_flags, ngx_event_t, ngx_handle_write_event,
    ngx_http_block_reading, ngx_http_core_run_phases, ngx_http_request_t,
};
use crate::ngx_debug;

type Event = *mut ngx_event_t;

fn connection(request: &Request) -> &ngx_connection_t {
    // SAFETY: a live request has a live connection; no `&mut` of it is made.
    unsafe { &*request.connection() }
}

/// Whether output waits for the client to take it.
pub fn has_buffered_output(request: Request) -> bool {
    let waiting = NGX_HTTP_LOWLEVEL_BUFFERED | NGX_LOWLEVEL_BUFFERED;
    connection(&request).buffered() & waiting != 0
}

/// How many bytes nginx's last filter collects before it sends them (`postpone_output`).
pub fn postpone_output(request: Request) -> usize {
    // SAFETY: live configuration.
    unsafe { (*Configuration::of(request).core_location()).postpone_output }
}

/// Whether nginx knows that the client is gone.
pub fn is_broken(request: Request) -> bool {
    connection(&request).error() != 0
}

/// nginx's bits for the filters that hold output back.
pub fn buffered_bits(request: Request) -> u32 {
    connection(&request).buffered()
}

/// Whether output is held back by a rate limit.
pub fn is_output_delayed(request: Request) -> bool {
    // SAFETY: a live connection has a write event.
    unsafe { (*connection(&request).write).delayed() != 0 }
}

/// Asks nginx to report when the client can take more; false if that fails.
pub fn wait_for_writable(request: Request) -> bool {
    let event: Event = connection(&request).write;
    // SAFETY: live event and configuration.
    unsafe {
        let conf = Configuration::of(request).core_location();
        if (*event).delayed() == 0 {
            ngx_add_timer(event, (*conf).send_timeout);
        }
        if ngx_handle_write_event(event, (*conf).send_lowat) == 0 {
            return true;
        }
        if (*event).timer_set() != 0 {
            (*event).set_delayed(0);
            ngx_del_timer(event);
        }
        false
    }
}

/// Turns off the send timeout, because all output has been sent.
pub fn stop_send_timer(request: Request) {
    let event: Event = connection(&request).write;
    // SAFETY: a live event.
    unsafe {
        if (*event).timer_set() != 0 && (*event).delayed() == 0 {
            ngx_del_timer(event);
        }
    }
}

/// What a write event means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteEvent {
    /// The connection takes more output.
    Ready,
    /// The client took nothing for `send_timeout`.
    TimedOut,
    /// Nothing has changed.
    Useless,
    /// The event could not be waited for any more.
    Failed,
}

/// Looks at the connection's write event.
pub fn write_event(request: Request) -> WriteEvent {
    let event: Event = connection(&request).write;
    // SAFETY: live connection, event and configuration.
    unsafe {
        if (*event).timedout() != 0 {
            if (*event).delayed() == 0 {
                request.log().write_errno(Level::Info, libc::ETIMEDOUT, b"client timed out");
                (*request.connection()).set_timedout(1);
                return WriteEvent::TimedOut;
            }
            (*event).set_timedout(0);
            (*event).set_delayed(0);
            if (*event).ready() == 0 && !wait_for_writable(request) {
                return WriteEvent::Failed;
            }
        }
        if (*event).ready() == 0 { WriteEvent::Useless } else { WriteEvent::Ready }
    }
}

/// Why output did not reach the client, in the C module's words.
pub fn failure(request: Request) -> Option<&'static str> {
    let connection = connection(&request);
    if connection.timedout() != 0 {
        Some("timeout")
    } else if connection.error() != 0 {
        Some("client aborted")
    } else {
        None
    }
}

/// Sets what nginx calls when the connection can be written to.
pub fn set_write_handler(request: Request, handler: unsafe extern "C" fn(*mut ngx_http_request_t)) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).write_event_handler = Some(handler) }
}

/// Has nginx run the request's phases again when the connection can be written to.
pub fn run_phases_when_writable(request: Request) {
    set_write_handler(request, ngx_http_core_run_phases);
}

/// What nginx calls when the client may have closed the connection.
pub type ClientGone = unsafe extern "C" fn(*mut ngx_http_request_t);

/// Watches for the client closing the connection (`lua_check_client_abort on`); false if nginx
/// refuses.
pub fn watch_client(request: Request, handler: ClientGone) -> bool {
    let r = request.as_ptr();
    // SAFETY: live request and read event; nginx's event actions are set before any request.
    unsafe {
        (*r).read_event_handler = Some(handler);
        if request.is_http2() {
            return true;
        }
        let event: Event = connection(&request).read;
        if (*event).active() != 0 {
            return true;
        }
        let Some(add) = (*std::ptr::addr_of!(ngx_event_actions)).add else { return false };
        add(event, NGX_READ_EVENT, 0) == 0
    }
}

/// Does not watch for the client closing the connection.
pub fn ignore_client(request: Request) {
    // SAFETY: a plain field of a live request, set to nginx's own handler.
    unsafe { (*request.as_ptr()).read_event_handler = Some(ngx_http_block_reading) }
}

/// Sets `handler` for the read events of a request that ignores its client; leaves other requests
/// alone.
pub fn replace_blocked_reading(request: Request, handler: ClientGone) {
    let blocked: ClientGone = ngx_http_block_reading;
    let now = request.get().read_event_handler;
    if now.is_some_and(|now| std::ptr::fn_addr_eq(now, blocked)) {
        // SAFETY: a plain field of a live request.
        unsafe { (*request.as_ptr()).read_event_handler = Some(handler) }
    }
}

/// Runs the handler of a request's read events.
pub fn run_read_handler(request: Request) {
    if let Some(handler) = request.get().read_event_handler {
        // SAFETY: nginx's own call, for a live request.
        unsafe { handler(request.as_ptr()) }
    }
}

/// Checks whether the client has closed the connection: `OK`, or the status to end the request
/// with.
pub fn check_client(request: Request) -> Status {
    const CLOSED: Status = Status(NGX_HTTP_CLIENT_CLOSED_REQUEST as isize);
    let c = request.connection();
    ngx_debug!(request.log(), "http lua check client, \"{}\"", Shown(request.uri()));
    // SAFETY: live connection and read event; the kernel writes one byte at most, to a byte of
    // ours.
    unsafe {
        let event: Event = (*c).read;
        if (*c).error() != 0 {
            return if stop_level_event(event) {
                CLOSED
            } else {
                Status::HTTP_INTERNAL_SERVER_ERROR
            };
        }
        if request.is_http2() {
            return Status::OK;
        }
        let mut byte = 0u8;
        let n = libc::recv((*c).fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK);
        let errno = if n < 0 { crate::nginx::sys::ngx_errno() } else { 0 };
        if (*event).write() != 0 && (n >= 0 || errno == libc::EAGAIN) {
            return Status::OK;
        }
        if !stop_level_event(event) {
            return Status::HTTP_INTERNAL_SERVER_ERROR;
        }
        if n > 0 || errno == libc::EAGAIN {
            return Status::OK;
        }
        if n < 0 {
            (*event).set_error(1);
        }
        (*event).set_eof(1);
        request.log().write_errno(Level::Info, errno, b"client prematurely closed connection");
        CLOSED
    }
}

/// With a level-triggered event method, removes an event that stays readable.
///
/// # Safety
/// `event` must be live.
unsafe fn stop_level_event(event: Event) -> bool {
    // SAFETY: the event is live, the contract of this function.
    unsafe {
        if ngx_event_flags & NGX_USE_LEVEL_EVENT as usize == 0 || (*event).active() == 0 {
            return true;
        }
        let which = if (*event).write() != 0 { NGX_WRITE_EVENT } else { NGX_READ_EVENT };
        let Some(del) = (*std::ptr::addr_of!(ngx_event_actions)).del else { return false };
        del(event, which, 0) == 0
    }
}

/// Removes a level-triggered read event, once the closed connection has been handled.
pub fn stop_watching_client(request: Request) -> bool {
    // SAFETY: a live connection has a read event.
    unsafe { stop_level_event(connection(&request).read) }
}

/// Marks the connection as broken.
pub fn set_error(request: Request) {
    // SAFETY: a live connection.
    unsafe { (*request.connection()).set_error(1) }
}

//! Clients that leave: that close the connection, or reset their stream of it.
//!
//! nginx calls a request's read event handler then. In HTTP/3, it calls the write event handler if
//! the client only says that it wants no more of the response; and if the connection is closed, it
//! ends each request on it itself, unless [`survive_closing`] has been asked for.

use std::mem::size_of;

use export::callback;

use crate::nginx::core::function::instance;
use crate::nginx::core::guard::guard;
use crate::nginx::core::log::{Level, Shown};
use crate::nginx::core::status::Status;
use crate::nginx::http::callback::Event as RequestEvent;
use crate::nginx::http::request::{PostedRequests, Request};
use crate::nginx::sys::{
    NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_READ_EVENT, NGX_USE_LEVEL_EVENT, NGX_WRITE_EVENT,
    ngx_connection_t, ngx_event_actions, ngx_event_flags, ngx_event_t, ngx_http_block_reading,
};
use crate::ngx_debug;

type Event = *mut ngx_event_t;

/// Watches for the client leaving (`lua_check_client_abort on`); false if nginx refuses.
pub fn watch_client(request: Request, handler: RequestEvent) -> bool {
    let r = request.as_ptr();
    // SAFETY: live request and read event; nginx's event actions are set before any request.
    unsafe {
        (*r).read_event_handler = Some(handler.0);
        if request.is_multiplexed() {
            return true;
        }
        let event: Event = request.client().read;
        if (*event).active() != 0 {
            return true;
        }
        let Some(add) = (*std::ptr::addr_of!(ngx_event_actions)).add else { return false };
        add(event, NGX_READ_EVENT, 0) == 0
    }
}

/// Stops watching for the client leaving. For a stream (HTTP/2, HTTP/3), `handler` is called all
/// the same: nothing else tells the code that waits for the client to take output.
pub fn ignore_client(request: Request, handler: RequestEvent) {
    let handler = if request.is_multiplexed() { handler.0 } else { ngx_http_block_reading };
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).read_event_handler = Some(handler) }
}

/// Sets `handler` for the read events of a request that ignores its client; leaves other requests
/// alone.
pub fn replace_blocked_reading(request: Request, handler: RequestEvent) {
    if RequestEvent(ngx_http_block_reading).is(request.get().read_event_handler) {
        // SAFETY: a plain field of a live request.
        unsafe { (*request.as_ptr()).read_event_handler = Some(handler.0) }
    }
}

/// Has the given function called when nginx closes the connection of an HTTP/3 request; nginx ends
/// the request if the function returns false.
pub fn survive_closing<F: Fn(Request) -> bool + Copy + 'static>(request: Request, _function: F) {
    const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
    // SAFETY: a live request's live connection and event.
    unsafe { (*request.client().read).handler = Some(read_event::<F>) }
}

/// A read event of a stream of HTTP/3.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "what is this module's has a guard")]
unsafe extern "C" fn read_event<F: Fn(Request) -> bool + Copy + 'static>(event: Event) {
    let survived = guard(false, || {
        // SAFETY: nginx passes a live event of a connection that serves a request.
        let (c, request) = unsafe {
            let c: *mut ngx_connection_t = (*event).data.cast();
            (c, Request::from_ptr((*c).data.cast()))
        };
        let Some(request) = request else { return false };
        // SAFETY: the event's connection, which lives at least as long as the event is handled.
        if unsafe { (*c).close() } == 0 {
            return false;
        }
        let posted = PostedRequests::of(request);
        // SAFETY: `survive_closing` was given the function.
        let survived = unsafe { instance::<F>() }(request.main());
        if survived && let Some(posted) = posted {
            posted.run();
        }
        survived
    });
    if !survived {
        // SAFETY: a live event; nginx has one handler for both events of a connection that serves
        // a request.
        unsafe {
            let c: *mut ngx_connection_t = (*event).data.cast();
            if let Some(handler) = (*(*c).write).handler {
                handler(event);
            }
        }
    }
}

/// Marks the stream of an HTTP/3 request as broken if an event of it says that the client has left;
/// returns whether the stream was not marked before.
pub fn notice(request: Request) -> bool {
    let c = request.client();
    // SAFETY: a live connection has both events.
    let failed = unsafe { (*c.read).error() | (*c.write).error() != 0 };
    let news = request.is_http3() && c.error() == 0 && failed;
    if news {
        set_gone(request);
    }
    news
}

/// Marks the connection, or the stream, as broken; nginx does not end the request for it.
pub fn set_gone(request: Request) {
    // SAFETY: plain fields of a live connection.
    unsafe {
        let c = request.connection();
        (*c).set_close(0);
        (*c).set_error(1);
    }
}

/// Marks the connection as not broken; returns whether it was.
pub fn lift_error(request: Request) -> bool {
    let was = request.client().error() != 0;
    // SAFETY: a plain field of a live connection.
    unsafe { (*request.connection()).set_error(0) };
    was
}

/// Runs the handler of a request's write events.
pub fn run_write_handler(request: Request) {
    if let Some(handler) = request.get().write_event_handler {
        // SAFETY: nginx's own call, for a live request.
        unsafe { handler(request.as_ptr()) }
    }
}

/// Runs the handler of a request's read events.
pub fn run_read_handler(request: Request) {
    if let Some(handler) = request.get().read_event_handler {
        // SAFETY: nginx's own call, for a live request.
        unsafe { handler(request.as_ptr()) }
    }
}

/// Checks whether the client has closed the connection, which is logged at `level`: `OK`, or the
/// status to end the request with.
pub fn check_client(request: Request, level: Level) -> Status {
    const CLOSED: Status = Status(NGX_HTTP_CLIENT_CLOSED_REQUEST as isize);
    let c = request.connection();
    ngx_debug!(request.log(), "http lua check client, \"{}\"", Shown(request.uri()));
    // SAFETY: live connection and read event; the kernel writes one byte at most, to a byte of
    // ours.
    unsafe {
        let event: Event = (*c).read;
        notice(request);
        if (*c).error() != 0 {
            return if stop_level_event(event) {
                CLOSED
            } else {
                Status::HTTP_INTERNAL_SERVER_ERROR
            };
        }
        if request.is_multiplexed() {
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
        request.log().write_errno(level, errno, b"client prematurely closed connection");
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
    unsafe { stop_level_event(request.client().read) }
}

//! Output that waits for the client: its connection's write events and send timeout.

use crate::nginx::core::log::Level;
use crate::nginx::event::event_timer::EventTimer;
use crate::nginx::http::callback;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_LOWLEVEL_BUFFERED, NGX_LOWLEVEL_BUFFERED, ngx_event_t, ngx_handle_write_event,
    ngx_http_core_run_phases,
};

#[cfg(ngx_feature = "http_v3")]
use crate::nginx::sys::ngx_quic_shutdown_stream;

type Event = *mut ngx_event_t;

/// Whether output waits for the client to take it.
pub fn has_buffered_output(request: Request) -> bool {
    let waiting = NGX_HTTP_LOWLEVEL_BUFFERED | NGX_LOWLEVEL_BUFFERED;
    request.client().buffered() & waiting != 0
}

/// How many bytes nginx's last filter collects before it sends them (`postpone_output`).
pub fn postpone_output(request: Request) -> usize {
    // SAFETY: nginx's core module has a configuration for the location of every request, which
    // lives as long as the cycle.
    unsafe { (*Configuration::of(request).core_location()).postpone_output }
}

/// Whether nginx knows that the client is gone.
pub fn is_broken(request: Request) -> bool {
    request.client().error() != 0
}

/// Whether nginx waits for something of the client for a limited time only.
pub fn has_read_timer(request: Request) -> bool {
    // SAFETY: a live connection has a read event.
    unsafe { EventTimer::of(request.client().read).is_set() }
}

/// nginx's bits for the filters that hold output back.
pub fn buffered_bits(request: Request) -> u32 {
    request.client().buffered()
}

/// Whether output is held back by a rate limit.
pub fn is_output_delayed(request: Request) -> bool {
    // SAFETY: a live connection has a write event.
    unsafe { (*request.client().write).delayed() != 0 }
}

/// The timer of the connection's write event.
fn write_timer(request: &Request) -> EventTimer<'_> {
    // SAFETY: a live connection has a write event.
    unsafe { EventTimer::of(request.client().write) }
}

/// That timer as the send timeout; `None` if it is that of a rate limit.
fn send_timer(request: &Request) -> Option<EventTimer<'_>> {
    (!is_output_delayed(*request)).then(|| write_timer(request))
}

/// Asks nginx to report when the client can take more; false if that fails.
pub fn wait_for_writable(request: Request) -> bool {
    if let Some(timer) = send_timer(&request) {
        timer.set(send_timeout(request));
    }
    let event: Event = request.client().write;
    // SAFETY: a live connection has a write event, and the location of a live request a
    // configuration of the core module.
    unsafe {
        let conf = Configuration::of(request).core_location();
        if ngx_handle_write_event(event, (*conf).send_lowat) == 0 {
            return true;
        }
        let timer = write_timer(&request);
        if timer.is_set() {
            (*event).set_delayed(0);
            timer.clear();
        }
    }
    false
}

/// Turns off the send timeout, because all output has been sent.
pub fn stop_send_timer(request: Request) {
    if let Some(timer) = send_timer(&request) {
        timer.clear();
    }
}

/// `send_timeout`, in milliseconds.
pub fn send_timeout(request: Request) -> usize {
    // SAFETY: as in `postpone_output`.
    unsafe { (*Configuration::of(request).core_location()).send_timeout }
}

/// Starts the send timeout anew, if it runs and nothing waits for the client: that nothing is sent
/// is then not because of the client.
pub fn restart_send_timer(request: Request) {
    let timer = send_timer(&request).filter(|timer| timer.is_set());
    if let Some(timer) = timer.filter(|_| !has_buffered_output(request)) {
        timer.clear();
        timer.set(send_timeout(request));
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
    /// nginx could not wait for the event again.
    Failed,
}

/// Looks at the connection's write event. A client that takes nothing is logged at `level`.
pub fn write_event(request: Request, level: Level) -> WriteEvent {
    let event: Event = request.client().write;
    // SAFETY: a live request has a live connection, and that a write event.
    unsafe {
        if (*event).timedout() != 0 {
            if (*event).delayed() == 0 {
                request.log().write_errno(level, libc::ETIMEDOUT, b"client timed out");
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
    let connection = request.client();
    if connection.timedout() != 0 {
        Some("timeout")
    } else if connection.error() != 0 {
        Some("client aborted")
    } else {
        None
    }
}

/// Tells the client of an HTTP/3 request that the response, all of which nginx's filters have, is
/// complete; nginx itself does so once the request has ended. Where output waits, it has to be
/// called again.
#[cfg(ngx_feature = "http_v3")]
pub fn end_stream(request: Request) {
    let c = request.client();
    // What subrequests add to the page comes after the request's own output.
    let is_all = !request.is_subrequest() && request.get().postponed.is_null() && c.buffered() == 0;
    if request.is_http3() && is_all && c.error() == 0 {
        // SAFETY: the live connection of an HTTP/3 request is a stream of QUIC. If this fails,
        // nginx has closed the stream's connection.
        unsafe { ngx_quic_shutdown_stream(request.connection(), libc::SHUT_WR) };
    }
}

/// This nginx has no HTTP/3.
#[cfg(not(ngx_feature = "http_v3"))]
pub fn end_stream(_request: Request) {}

/// Sets the request's write event handler: what nginx calls when the connection can be written to.
pub fn set_write_handler(request: Request, handler: callback::Event) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).write_event_handler = Some(handler.0) }
}

/// Has nginx run the request's phases again when the connection can be written to.
pub fn run_phases_when_writable(request: Request) {
    set_write_handler(request, callback::Event(ngx_http_core_run_phases));
}

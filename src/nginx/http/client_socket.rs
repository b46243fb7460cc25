//! The client's connection as Lua code uses it (`ngx.req.socket`): to read the request body from
//! it, or raw.

use crate::nginx::core::strings;
use crate::nginx::event::stream::{Io, Stream};
use crate::nginx::http::callback::Event;
use crate::nginx::http::client;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_LOWLEVEL_BUFFERED, ngx_http_core_loc_conf_t, ngx_http_log_ctx_t,
    ngx_http_request_body_t,
};

/// The client's connection.
pub fn stream(request: Request) -> Option<Stream> {
    // SAFETY: a live request has a live connection, which outlives it.
    unsafe { Stream::from_ptr(request.connection()) }
}

/// Sets what nginx calls when the client has sent something.
pub fn set_read_handler(request: Request, handler: Event) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).read_event_handler = Some(handler.0) }
}

/// Whether `handler` is what nginx calls when the client has sent something.
pub fn has_read_handler(request: Request, handler: Event) -> bool {
    handler.is(request.get().read_event_handler)
}

/// Whether nginx holds output that the client has not taken yet.
pub fn has_output(request: Request) -> bool {
    client::buffered_bits(request) & NGX_HTTP_LOWLEVEL_BUFFERED != 0
}

pub fn is_chunked(request: Request) -> bool {
    request.get().headers_in.chunked() != 0
}

/// The request's Content-Length; -1 for none.
pub fn content_length(request: Request) -> i64 {
    request.get().headers_in.content_length_n
}

/// Whether the request body is being read, or has been.
pub fn has_body_reader(request: Request) -> bool {
    !request.get().request_body.is_null()
}

/// How much of the body has not been read yet; 0 if nothing reads it.
pub fn body_rest(request: Request) -> usize {
    // SAFETY: null, or the request's own structure.
    let body = unsafe { request.get().request_body.as_ref() };
    body.map_or(0, |body| usize::try_from(body.rest).unwrap_or(0))
}

/// Takes over reading the request body, of which `rest` bytes are left: nginx does not read it from
/// now on.
pub fn take_body(request: Request, rest: i64) -> Result<(), crate::nginx::core::pool::OutOfMemory> {
    // SAFETY: nginx's own structure, whose fields are all valid as zero.
    unsafe {
        let body = request.pool().zeroed::<ngx_http_request_body_t>()?.as_ptr();
        (*body).rest = rest;
        (*request.as_ptr()).request_body = body;
    }
    Ok(())
}

/// Takes over the connection (a raw socket): nginx sends no header, and closes it when the request
/// ends.
pub fn take_connection(request: Request) {
    // SAFETY: plain flags of a live request.
    unsafe {
        let r = request.as_ptr();
        (*r).set_header_sent(1);
        (*r).set_keepalive(0);
        (*r).set_lingering_close(1);
    }
}

/// Counts `n` bytes of the request as read; also of its body, if that is being read.
pub fn count(request: Request, n: usize) {
    // SAFETY: plain fields of a live request; the body is null or its own structure.
    unsafe {
        (*request.as_ptr()).request_length += n as i64;
        if let Some(body) = request.get().request_body.as_mut() {
            body.rest -= n as i64;
        }
    }
}

/// Takes at most `max` bytes of what nginx has read beyond the request's header.
pub fn take_preread(request: &Request, max: usize) -> &[u8] {
    // SAFETY: nginx keeps the header's buffer as long as the request.
    unsafe {
        let Some(buf) = request.get().header_in.as_mut() else { return &[] };
        let available = (buf.last as usize).saturating_sub(buf.pos as usize);
        let bytes = strings::raw(buf.pos, available.min(max));
        buf.pos = buf.pos.add(bytes.len());
        bytes
    }
}

/// Sends "100 Continue" if the client waits for it; false if that fails. For HTTP/1 only: the
/// answer is text of that version.
pub fn answer_expectation(request: Request) -> bool {
    const HTTP_VERSION_11: usize = 1001;
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let r = request.get();
    // SAFETY: null, or a header of the request.
    let expect = unsafe { r.headers_in.expect.as_ref() };
    let Some(expect) = expect else { return true };
    if r.expect_tested() != 0 || request.http_version() < HTTP_VERSION_11 {
        return true;
    }
    // SAFETY: a plain flag; the header's value lives as long as the request.
    let value = unsafe {
        (*request.as_ptr()).set_expect_tested(1);
        strings::bytes(expect.value)
    };
    if !value.eq_ignore_ascii_case(b"100-continue") {
        return true;
    }
    crate::ngx_debug!(request.log(), "send 100 Continue");
    stream(request).is_some_and(|stream| stream.send(CONTINUE) == Io::Done(CONTINUE.len()))
}

/// Whether the location wants small pieces sent at once (`tcp_nodelay on`).
pub fn wants_nodelay(request: Request) -> bool {
    // SAFETY: the core module's own configuration exists for every location.
    unsafe {
        let conf: *const ngx_http_core_loc_conf_t = Configuration::of(request).core_location();
        (*conf).tcp_nodelay != 0
    }
}

/// Has the lines of the connection's log name this request from now on.
pub fn log_as(request: Request) {
    if request.is_fake() {
        return;
    }
    // SAFETY: the log of a client's connection has nginx's http context as its data.
    unsafe {
        let log = request.log().as_ptr();
        let context: *mut ngx_http_log_ctx_t = (*log).data.cast();
        if let Some(context) = context.as_mut() {
            context.current_request = request.as_ptr();
        }
    }
}

//! The client's request body as it comes, through nginx's own reader: chunks of HTTP/1.1, and
//! streams of HTTP/2 and HTTP/3. nginx takes no more from the client than fits in its buffer until
//! that has been read here.

use crate::nginx::core::chain::CopiedChain;
use crate::nginx::core::status::Status;
use crate::nginx::http::callback;
use crate::nginx::http::request::Request;
use crate::nginx::http::request_body::{drop_reference, structure};
use crate::nginx::sys::{
    NGX_HTTP_CLIENT_CLOSED_REQUEST, ngx_http_read_client_request_body,
    ngx_http_read_unbuffered_request_body,
};

/// What there was to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyProgress {
    Data,
    /// Nothing yet: nginx calls the request's read event handler.
    Nothing,
    End,
    NoMemory,
    /// nginx's status for what went wrong; 499 if the client has left.
    Failed(Status),
}

/// Has nginx begin to read the body. The request keeps the handlers of its events.
///
/// Errors: nginx's status for what is wrong with the body; the connection takes no other request
/// then.
pub fn start(request: Request) -> Result<(), Status> {
    // SAFETY: a live request; plain flags that nginx reads when it starts, and its handlers.
    let rc = unsafe {
        let r = request.as_ptr();
        let handlers = ((*r).read_event_handler, (*r).write_event_handler);
        (*r).set_request_body_no_buffering(1);
        // It would keep the body in a file all the same, if all of the body was there.
        (*r).set_request_body_in_file_only(0);
        let after = callback::event(|_: Request| ());
        let rc = Status(ngx_http_read_client_request_body(r, Some(after.0)));
        ((*r).read_event_handler, (*r).write_event_handler) = handlers;
        if rc == Status::AGAIN {
            // nginx may have chosen to read on by itself, where a stream of HTTP/2 has all of the
            // body.
            (*r).set_request_body_no_buffering(1);
            (*r).set_reading_body(1);
        }
        rc
    };
    // nginx has dropped the reference of one that failed in this way.
    if !rc.is_special_response() {
        drop_reference(request);
    }
    stay_awake(request);
    if rc.is_failure() { Err(fail(request, rc)) } else { Ok(()) }
}

/// Whether nginx drops the body as it comes, because it was discarded before anybody read it: of a
/// stream of HTTP/2, [`Request::is_discarding_body`] does not tell.
pub fn is_skipped(request: Request) -> bool {
    #[cfg(ngx_feature = "http_v2")]
    {
        // SAFETY: null, or the stream of a live request.
        let stream = unsafe { request.get().stream.as_ref() };
        stream.is_some_and(|stream| stream.skip_data() != 0)
    }
    #[cfg(not(ngx_feature = "http_v2"))]
    {
        let _ = request;
        false
    }
}

/// Whether nothing of the body is left.
pub fn has_ended(request: Request) -> bool {
    // SAFETY: null, or the request's own structure.
    let has_bufs = structure(request).is_some_and(|body| unsafe { !(*body).bufs.is_null() });
    request.get().reading_body() == 0 && !has_bufs
}

/// Reads what there is, and passes it to `append`, which tells whether there was memory for it.
pub fn read(request: Request, mut append: impl FnMut(&[u8]) -> bool) -> BodyProgress {
    let mut progress = take(request, &mut append);
    if progress == BodyProgress::Nothing {
        let rc = read_on(request);
        if rc.is_failure() {
            return BodyProgress::Failed(fail(request, rc));
        }
        progress = take(request, append);
    }
    progress
}

/// Has nginx read from the client.
fn read_on(request: Request) -> Status {
    if request.client().error() != 0 {
        return Status(NGX_HTTP_CLIENT_CLOSED_REQUEST as isize);
    }
    // SAFETY: a live request whose body is being read, and its connection's read event. The event
    // may have timed out by nginx's own timer while nobody read: that is no reason to fail now.
    let rc = unsafe {
        (*request.client().read).set_timedout(0);
        Status(ngx_http_read_unbuffered_request_body(request.as_ptr()))
    };
    stay_awake(request);
    rc
}

/// Takes what nginx has read, as [`read`] does, and has it read no more.
pub fn take(request: Request, mut append: impl FnMut(&[u8]) -> bool) -> BodyProgress {
    let Some(body) = structure(request) else { return BodyProgress::End };
    // SAFETY: the structure and its buffers live in the request's pool, where the links come from.
    let bufs = unsafe {
        let first = std::mem::replace(&mut (*body).bufs, std::ptr::null_mut());
        CopiedChain::from_ptr(first, request.pool())
    };
    let (mut found, mut kept) = (false, true);
    for mut buf in bufs.whole().bufs() {
        let bytes = buf.memory();
        found |= !bytes.is_empty();
        kept = kept && append(bytes);
        buf.consume();
    }
    bufs.free();
    match (kept, found) {
        (false, _) => BodyProgress::NoMemory,
        (true, true) => BodyProgress::Data,
        (true, false) if request.get().reading_body() == 0 => BodyProgress::End,
        (true, false) => BodyProgress::Nothing,
    }
}

/// Has nginx pass on the events of a QUIC stream: it turns them off while the stream's buffer is
/// full, even the one of the stream's end.
fn stay_awake(request: Request) {
    if request.is_http3() {
        // SAFETY: a live connection has a read event; for a stream, the flag only says whether its
        // events are posted.
        unsafe { (*request.client().read).set_active(1) }
    }
}

/// Has nginx close the connection after the request, because nobody knows where its body ends.
/// Returns the status for what went wrong.
fn fail(request: Request, rc: Status) -> Status {
    // SAFETY: plain flags of a live request.
    unsafe {
        (*request.as_ptr()).set_keepalive(0);
        (*request.as_ptr()).set_lingering_close(1);
    }
    if request.client().error() != 0 {
        return Status(NGX_HTTP_CLIENT_CLOSED_REQUEST as isize);
    }
    rc
}

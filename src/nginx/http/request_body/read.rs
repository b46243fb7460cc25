//! The client's request body: having nginx read it, and looking at what was read.

use codec::fallible::Grow;

use crate::nginx::core::bits;
use crate::nginx::core::chain::Chain;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::status::Status;
use crate::nginx::core::strings;
use crate::nginx::event::alarm::remove_timer;
use crate::nginx::http::callback::Event;
use crate::nginx::http::client;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_read_client_request_body, ngx_http_request_body_t};

/// How a read of the body began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyRead {
    /// The body is there; the callback ran.
    Done,
    /// The callback will run.
    Waiting,
    /// nginx's status for what went wrong.
    Failed(Status),
}

/// Reads the body into one buffer or file; `after` runs when it is there. Unless this fails, the
/// main request has one more reference then, which [`drop_reference`] gives back.
pub fn read(request: Request, after: Event) -> BodyRead {
    // SAFETY: a live request, which `after` takes; plain flags that nginx reads when it starts.
    let rc = unsafe {
        let r = request.as_ptr();
        (*r).set_request_body_in_single_buf(1);
        (*r).set_request_body_in_persistent_file(1);
        (*r).set_request_body_in_clean_file(1);
        if (*r).request_body_in_file_only() != 0 {
            // No warning for a temporary file that the configuration asks for.
            (*r).set_request_body_file_log_level(0);
        }
        if !(*r).request_body.is_null() {
            // Somebody reads the body already, or has read it. nginx takes a reference and calls
            // `after` at once; freenginx would drop what a socket has still to read.
            take_reference(request);
            (after.0)(r);
            return BodyRead::Done;
        }
        Status(ngx_http_read_client_request_body(r, Some(after.0)))
    };
    if rc.is_failure() {
        BodyRead::Failed(rc)
    } else if rc == Status::AGAIN {
        BodyRead::Waiting
    } else {
        BodyRead::Done
    }
}

/// Whether somebody reads the body already, or has read it: nothing is left for [`read`].
#[inline(always)]
pub fn is_known(request: Request) -> bool {
    !request.get().request_body.is_null()
}

/// Whether [`read`] may have to wait: not for a body that was read or is being thrown away, nor where
/// the client sends none.
pub fn may_wait(request: Request) -> bool {
    let r = request.get();
    let is_settled =
        request.is_subrequest() || !r.request_body.is_null() || request.is_discarding_body();
    !is_settled && (r.headers_in.content_length_n >= 0 || r.headers_in.chunked() != 0)
}

/// Takes a reference for a read, as nginx does: `r->main->count++`.
fn take_reference(request: Request) {
    let main = request.main().as_ptr();
    // SAFETY: a live main request.
    unsafe { bits::set_count(main, bits::count(main) + 1) }
}

/// Gives back the reference that reading the body took.
pub fn drop_reference(request: Request) {
    let main = request.main().as_ptr();
    // SAFETY: a live main request; nginx's own idiom, `r->main->count--`.
    unsafe { bits::set_count(main, bits::count(main).saturating_sub(1)) }
}

/// To be called when nothing waits for the body any more: nginx goes on reading without a timeout,
/// and closes the connection after the request.
pub fn abandon(request: Request) {
    // SAFETY: a live request has a live connection and read event.
    unsafe {
        let read = (*request.connection()).read;
        remove_timer(read);
        (*request.as_ptr()).set_keepalive(0);
    }
}

/// nginx's structure of the body; `None` before it has been read.
pub(in crate::nginx) fn structure(request: Request) -> Option<*mut ngx_http_request_body_t> {
    let body = request.get().request_body;
    if body.is_null() { None } else { Some(body) }
}

/// Where the request's body is.
pub enum Body<'a> {
    /// It has not been read.
    Unread,
    /// In memory; the chain is empty if there is no body.
    Memory(Chain),
    /// In the file of this name.
    File(&'a [u8]),
}

/// The request's body as it is now.
pub fn body(request: &Request) -> Body<'_> {
    let Some(body) = structure(*request) else { return Body::Unread };
    // SAFETY: the structure, its file and its buffers live in the request's pool.
    unsafe {
        match (*body).temp_file.as_ref() {
            Some(temp) => Body::File(strings::bytes(temp.file.name)),
            None => Body::Memory(Chain::from_ptr((*body).bufs)),
        }
    }
}

/// The first `max` bytes of a body in memory, in one piece.
pub fn copy(bufs: Chain, max: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(bufs.memory_len().min(max))?;
    for buf in bufs.bufs() {
        let (piece, room) = (buf.memory(), max - bytes.len());
        bytes.try_append(piece.get(..room).unwrap_or(piece))?;
    }
    Ok(bytes)
}

/// Whether the client sends no body, and does not wait for a word before it sends one: then there is nothing to
/// discard. `false` for a stream, about which nginx has to be asked.
pub fn is_absent(request: Request) -> bool {
    let headers = &request.get().headers_in;
    !request.is_multiplexed()
        && headers.content_length_n <= 0
        && headers.chunked() == 0
        && headers.expect.is_null()
        && !client::has_read_timer(request)
}

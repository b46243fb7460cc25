//! Reading the client's request body through nginx.

use super::request::Request;
use super::status::Rc;
use super::sys::{ngx_http_read_client_request_body, ngx_http_request_t};

/// How a read of the body began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyRead {
    /// The body is there; the callback ran.
    Done,
    /// The callback will run.
    Waiting,
    /// nginx's code for what went wrong.
    Failed(Rc),
}

/// Reads the body into one buffer or file; `after` runs when it is there.
pub fn read(request: Request, after: unsafe extern "C" fn(*mut ngx_http_request_t)) -> BodyRead {
    // SAFETY: a live request; plain flags that nginx reads when it starts.
    let rc = unsafe {
        let r = request.as_ptr();
        (*r).set_request_body_in_single_buf(1);
        (*r).set_request_body_in_persistent_file(1);
        (*r).set_request_body_in_clean_file(1);
        Rc(ngx_http_read_client_request_body(r, Some(after)))
    };
    if rc.is_failure() {
        BodyRead::Failed(rc)
    } else if rc == Rc::AGAIN {
        BodyRead::Waiting
    } else {
        BodyRead::Done
    }
}

/// Gives back the reference that nginx took for reading the body.
pub fn drop_reference(request: Request) {
    let main = request.main().as_ptr();
    // SAFETY: a live main request; nginx's own idiom, `r->main->count--`.
    unsafe { (*main).set_count((*main).count().saturating_sub(1)) }
}

//! The response's status and status line.

use codec::fallible;

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_str_t;

const SWITCHING_PROTOCOLS: usize = 101;
const HTTP_VERSION_9: usize = 9;

/// The status that the response has so far: that of nginx's error page, else the one set; 9 for
/// HTTP/0.9, which has none.
pub fn get(request: Request) -> usize {
    let r = request.get();
    if r.err_status != 0 {
        r.err_status
    } else if r.headers_out.status == 0 && r.http_version == HTTP_VERSION_9 {
        HTTP_VERSION_9
    } else {
        r.headers_out.status
    }
}

/// Sets the status, with nginx's own reason.
pub fn set(request: Request, status: usize) {
    // nginx's table of status lines begins with 200.
    let line = match status {
        SWITCHING_PROTOCOLS => crate::nginx::core::strings::borrowed(b"101 Switching Protocols"),
        _ => ngx_str_t::empty(),
    };
    set_line(request, status, line);
}

/// Sets the status with a reason, unsafe bytes of it escaped. As in the C module, an empty one is
/// none, and 101 keeps its own.
pub fn set_with_reason(request: Request, status: usize, reason: &[u8]) -> Result<(), OutOfMemory> {
    if reason.is_empty() || status == SWITCHING_PROTOCOLS {
        set(request, status);
        return Ok(());
    }
    let mut line = fallible::format(format_args!("{status:03} "))?.into_bytes();
    codec::uri::escape_to(reason, codec::uri::EscapeType::HeaderValue, &mut line)?;
    set_line(request, status, request.pool().copy_str(&line)?);
    Ok(())
}

/// Turns off the request's conditions (`If-Modified-Since`, `If-Match`, …), which could turn the
/// response into a 304 or 412.
pub fn bypass_conditions(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).set_disable_not_modified(1) }
}

fn set_line(request: Request, status: usize, line: ngx_str_t) {
    // SAFETY: plain fields of a live request; the line is static or in its pool, and only read.
    unsafe {
        let r = request.as_ptr();
        (*r).headers_out.status = status;
        (*r).headers_out.status_line = line;
        (*r).err_status = 0;
    }
}

//! Request bodies in nginx's form: a chain of buffers, some of them in a file.

use std::ptr::null_mut;

use crate::nginx::core::chain::Chain;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_alloc_chain_link, ngx_create_temp_buf, ngx_http_request_body_t, ngx_temp_file_t,
};

/// A body of these bytes, copied into the request's pool.
pub fn in_memory(
    request: Request,
    bytes: &[u8],
) -> Result<*mut ngx_http_request_body_t, OutOfMemory> {
    let pool = request.pool();
    // SAFETY: fresh structures in the pool; the buffer has room for the bytes.
    unsafe {
        let body = pool.zeroed::<ngx_http_request_body_t>()?.as_ptr();
        if bytes.is_empty() {
            return Ok(body);
        }
        let buf = ngx_create_temp_buf(pool.as_ptr(), bytes.len());
        let link = ngx_alloc_chain_link(pool.as_ptr());
        if buf.is_null() || link.is_null() {
            return Err(OutOfMemory);
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (*buf).last, bytes.len());
        (*buf).last = (*buf).last.add(bytes.len());
        (*link).buf = buf;
        (*link).next = null_mut();
        (*body).bufs = link;
        (*body).buf = buf;
        Ok(body)
    }
}

/// The body that `parent` has read, for a subrequest; null if it has none.
///
/// A body in memory is shared, with its structure. Of one in a temporary file, the file and the
/// buffers are shared, but not the structures about them, because nginx changes those while it
/// sends.
pub fn forwarded(parent: Request) -> Result<*mut ngx_http_request_body_t, OutOfMemory> {
    let body = parent.get().request_body;
    // SAFETY: request_body is null or a structure in the parent's pool; copies are plain.
    unsafe {
        if body.is_null() || (*body).temp_file.is_null() {
            return Ok(body);
        }
        let pool = parent.pool();
        let copy = pool.zeroed::<ngx_http_request_body_t>()?.as_ptr();
        std::ptr::copy_nonoverlapping(body, copy, 1);
        let file = pool.zeroed::<ngx_temp_file_t>()?.as_ptr();
        std::ptr::copy_nonoverlapping((*body).temp_file, file, 1);
        (*copy).temp_file = file;
        Ok(copy)
    }
}

/// The number of bytes of a body, in memory and in files.
///
/// # Safety
/// `body` must be a live request body.
pub unsafe fn length(body: *const ngx_http_request_body_t) -> i64 {
    // SAFETY: the body is live, the contract of this function; the chain lives in the same pool.
    unsafe { Chain::from_ptr((*body).bufs).bufs().map(|buf| buf.size()).sum() }
}

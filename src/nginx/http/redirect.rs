//! Internal redirects, to a URI or a named location.

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::status::Status;
use crate::nginx::core::strings::PoolStr;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_LOG_UNSAFE, ngx_http_block_reading, ngx_http_internal_redirect, ngx_http_max_module,
    ngx_http_named_location, ngx_http_parse_unsafe_uri, ngx_http_request_empty_handler, ngx_str_t,
    ngx_uint_t,
};

/// Takes the request's write events, and with `reads` its read events, away from this module's
/// handlers.
pub fn take_events_away(request: Request, reads: bool) {
    // SAFETY: plain fields of a live request, set to nginx's own handlers.
    unsafe {
        (*request.as_ptr()).write_event_handler = Some(ngx_http_request_empty_handler);
        if reads {
            (*request.as_ptr()).read_event_handler = Some(ngx_http_block_reading);
        }
    }
}

/// Redirects to another URI; the result is what nginx's function returns, for nginx.
pub fn internal(request: Request, uri: &[u8], args: &[u8]) -> Status {
    let copies = request.pool().copy_str(uri).and_then(|uri| {
        let args = request.pool().copy_str(args)?;
        Ok((uri, args))
    });
    match copies {
        // SAFETY: a live request, strings in its pool.
        Ok((mut uri, mut args)) => unsafe {
            Status(ngx_http_internal_redirect(request.as_ptr(), &mut uri, &mut args))
        },
        Err(OutOfMemory) => Status::HTTP_INTERNAL_SERVER_ERROR,
    }
}

/// Redirects to a named location (`@name`), with the contexts of all modules cleared.
pub fn named_location(request: Request, name: &[u8]) -> Status {
    match request.pool().copy_str(name) {
        // SAFETY: a live request; nginx sizes `ctx` for `ngx_http_max_module` slots.
        Ok(mut name) => unsafe {
            let slots = *std::ptr::addr_of!(ngx_http_max_module);
            std::ptr::write_bytes(request.get().ctx, 0, slots);
            Status(ngx_http_named_location(request.as_ptr(), &mut name))
        },
        Err(OutOfMemory) => Status::HTTP_INTERNAL_SERVER_ERROR,
    }
}

/// Why a URI could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriError {
    /// nginx finds it unsafe (`..`, NUL, …).
    Unsafe,
    OutOfMemory,
}

impl From<OutOfMemory> for UriError {
    fn from(_: OutOfMemory) -> UriError {
        UriError::OutOfMemory
    }
}

/// Checks a URI as nginx does, and splits off its arguments; logs an unsafe one.
pub fn parse_unsafe_uri(request: Request, uri: &[u8]) -> Result<(PoolStr, PoolStr), UriError> {
    parse(request, uri, NGX_HTTP_LOG_UNSAFE as ngx_uint_t)
}

/// As [`parse_unsafe_uri`], without a line in the log.
pub fn parse_quietly(request: Request, uri: &[u8]) -> Result<(PoolStr, PoolStr), UriError> {
    parse(request, uri, 0)
}

fn parse(request: Request, uri: &[u8], flags: ngx_uint_t) -> Result<(PoolStr, PoolStr), UriError> {
    let mut uri = request.pool().copy_str(uri)?;
    let mut args = ngx_str_t::empty();
    let mut flags = flags;
    // SAFETY: a live request, a string in its pool.
    unsafe {
        if ngx_http_parse_unsafe_uri(request.as_ptr(), &mut uri, &mut args, &mut flags) != 0 {
            return Err(UriError::Unsafe);
        }
        if args.data.is_null() {
            // Empty arguments, not none: `$args` is "".
            args.data = uri.data;
        }
        Ok((PoolStr::new(uri), PoolStr::new(args)))
    }
}

//! The symbols behind reading `ngx.arg`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;
use std::ptr::null_mut;

use export::export;

use crate::api::ffi;
use crate::nginx::http::send;
use crate::nginx::sys::ngx_http_request_t;

/// Argument `idx` (from 1) of the running `set_by_lua*`: `*data` and `*len` get its bytes, which
/// the request owns; `*len` is 0 where there is none.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_setby_param(
    r: *mut ngx_http_request_t,
    idx: c_int,
    data: *mut *mut u8,
    len: *mut usize,
) {
    // SAFETY: lua-resty-core passes the running request, and its own out-parameters. The arguments
    // are borrowed only until this returns.
    unsafe {
        let (Some(data), Some(len)) = (data.as_mut(), len.as_mut()) else { return };
        *len = 0;
        let Some(context) = ffi::borrowed_context(r) else { return };
        let arguments = context.set_arguments.borrow();
        let index = usize::try_from(idx).ok().and_then(|idx| idx.checked_sub(1));
        if let Some(argument) = index.and_then(|index| arguments.get(index)) {
            *data = argument.raw().data;
            *len = argument.bytes().len();
        }
    }
}

/// 1 where the piece of the body is the last one, 0 otherwise.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_body_filter_param_eof(
    r: *mut ngx_http_request_t,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request.
    let context = unsafe { ffi::borrowed_context(r) };
    c_int::from(context.is_some_and(|context| context.filter.is_eof()))
}

/// The piece of the body. 0: it is `*len` bytes at `*data`, which the response owns; to be copied
/// at once. -2: it is in several buffers, or in one that a finalizer may have used again before that,
/// `*len` bytes in all, to be copied by [`ngx_http_lua_ffi_copy_body_filter_param_body`]. -1 without a
/// context.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_body_filter_param_body(
    r: *mut ngx_http_request_t,
    data: *mut *mut u8,
    len: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, and its own out-parameters; buffers of the
    // input live until the filter's code ends.
    unsafe {
        let (Some(data), Some(len)) = (data.as_mut(), len.as_mut()) else { return ffi::ERROR };
        (*data, *len) = (null_mut(), 0);
        let Some(context) = ffi::borrowed_context(r) else { return ffi::ERROR };
        let mut bufs = context.filter.chain.get().bufs();
        if let (Some(only), None) = (bufs.next(), bufs.next())
            && !only.has_tag(send::filter_tag())
        {
            let bytes = only.memory();
            (*data, *len) = (bytes.as_ptr().cast_mut(), bytes.len());
            return ffi::OK;
        }
        *len = context.filter.pieces().map(|buf| buf.memory().len()).sum();
        context.filter.told.set(*len);
        if *len == 0 { ffi::OK } else { ffi::AGAIN }
    }
}

/// Copies the piece of the body into `data`, which has space for as many bytes as
/// [`ngx_http_lua_ffi_get_body_filter_param_body`] said, and gets no more; 0 on success.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_copy_body_filter_param_body(
    r: *mut ngx_http_request_t,
    data: *mut u8,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, and a buffer of the length that it has
    // just asked for. In between it only makes that buffer; if a finalizer has set a longer body
    // meanwhile, the rest of it is left out.
    unsafe {
        let Some(context) = ffi::borrowed_context(r) else { return ffi::ERROR };
        if data.is_null() {
            return ffi::ERROR;
        }
        let (mut at, mut room) = (data, context.filter.told.take());
        for buf in context.filter.pieces() {
            let bytes = buf.memory();
            let len = bytes.len().min(room);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, len);
            at = at.add(len);
            room -= len;
        }
        ffi::OK
    }
}

//! The symbols behind `ngx.var.NAME`, reading and writing.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int};

use export::export;

use crate::api::ffi::{self, set_message, write_error};
use crate::nginx::http::variable;
use crate::nginx::http::variable::Name;
use crate::nginx::sys::ngx_http_request_t;
use crate::nginx::{Request, guard};

const NO_REQUEST: &CStr = c"no request object found";
const NO_CLIENT: &CStr = c"API disabled in the current context";

/// The request, which must have a client behind it, or the text of the error.
#[inline(always)]
fn request(r: *mut ngx_http_request_t) -> Result<Request, &'static CStr> {
    let request = ffi::request(r).ok_or(NO_REQUEST)?;
    if request.is_fake() { Err(NO_CLIENT) } else { Ok(request) }
}

/// The name in lower case, in the caller's buffer; `None` if a pointer is null.
///
/// # Safety
/// `name` must be valid for `len` bytes, `buf` likewise for writing; they do not overlap.
unsafe fn lower_name<'a>(name: *const u8, len: usize, buf: *mut u8) -> Option<Name<'a>> {
    if name.is_null() || buf.is_null() {
        return None;
    }
    // SAFETY: the caller promises `len` bytes at either pointer, which are not the same; null is
    // handled above.
    Some(unsafe { Name::new(name, len, buf) })
}

/// Reads a variable, or, with a null `name_data`, the regex capture `capture_id`.
///
/// `lowcase_buf` is the caller's, with space for `name_len` bytes. 0: `*value` and `*value_len` are
/// the bytes, which belong to nginx and are to be copied at once. -5: there is no such variable, or
/// it has no value. -1: `*err` is a static text.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "nginx does the work")]
pub unsafe extern "C" fn ngx_http_lua_ffi_var_get(
    r: *mut ngx_http_request_t,
    name_data: *const u8,
    name_len: usize,
    lowcase_buf: *mut u8,
    capture_id: c_int,
    value: *mut *const u8,
    value_len: *mut usize,
    err: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, a Lua string or null, a buffer of the same
    // length, and its own out-parameters.
    unsafe {
        let request = match request(r) {
            Ok(request) => request,
            Err(text) => return refuse(err, text),
        };
        let found = if name_data.is_null() {
            usize::try_from(capture_id).ok().and_then(|n| variable::capture(request, n))
        } else {
            lower_name(name_data, name_len, lowcase_buf)
                .and_then(|mut name| variable::value(request, &mut name))
        };
        let (Some(value), Some(value_len), Some(found)) =
            (value.as_mut(), value_len.as_mut(), found)
        else {
            return ffi::DECLINED;
        };
        (*value, *value_len) = (found.raw().data, found.raw().len);
        ffi::OK
    }
}

/// Returns -1 with `text` in `*err`.
///
/// # Safety
/// As for [`set_message`].
#[cold]
#[inline(never)]
unsafe fn refuse(err: *mut *const c_char, text: &'static CStr) -> c_int {
    // SAFETY: the contract of this function, that of `set_message`.
    unsafe { set_message(err, text) };
    ffi::ERROR
}

/// Sets a variable to a copy of the `value_len` bytes at `value`; with a null `value`, it has no
/// value any more.
///
/// `lowcase_buf` is the caller's, with space for `name_len` bytes. 0, or -1 with the error in
/// `errbuf` (a buffer of `*errlen` bytes).
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "nginx does the work; what makes a message has a guard")]
pub unsafe extern "C" fn ngx_http_lua_ffi_var_set(
    r: *mut ngx_http_request_t,
    name_data: *const u8,
    name_len: usize,
    lowcase_buf: *mut u8,
    value: *const u8,
    value_len: usize,
    errbuf: *mut u8,
    errlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, Lua strings with their lengths, and two
    // buffers of its own with the sizes that are described above.
    unsafe {
        let request = match request(r) {
            Ok(request) => request,
            Err(text) => {
                write_error(errbuf, errlen, text.to_bytes());
                return ffi::ERROR;
            }
        };
        let Some(mut name) = lower_name(name_data, name_len, lowcase_buf) else {
            write_error(errbuf, errlen, "bad variable name");
            return ffi::ERROR;
        };
        let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value, value_len));
        match variable::set(request, &mut name, value) {
            Ok(()) => ffi::OK,
            Err(error) => guard(ffi::ERROR, || {
                write_error(errbuf, errlen, error.message(name.bytes()));
                ffi::ERROR
            }),
        }
    }
}

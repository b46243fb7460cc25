//! What the exported C symbols share: the codes and conventions that lua-resty-core expects.
//!
//! LuaJIT's FFI calls these symbols from compiled code: they raise no Lua error and let no panic
//! out. `#[export]` puts a panic guard ([`crate::nginx::guard`]) around each of them.

#![allow(unsafe_code, reason = "what the exported symbols share")]

use std::ffi::{CStr, c_char, c_double, c_int, c_long, c_uint};
use std::ptr::{null, null_mut};
use std::rc::Rc;

use codec::fallible::{self, Grow};

use crate::lua::openresty;
use crate::nginx::sys::{ngx_http_request_t, ngx_str_t};
use crate::nginx::{HeaderError, Request};
use crate::runtime::{Context, PhaseSet};

pub const OK: c_int = 0;
pub const ERROR: c_int = -1;
pub const AGAIN: c_int = -2;
pub const DONE: c_int = -4;
pub const DECLINED: c_int = -5;
/// lua-resty-core raises "no request ctx found".
pub const NO_REQ_CTX: c_int = -100;
/// lua-resty-core raises "API disabled in the current context".
pub const BAD_CONTEXT: c_int = -101;

/// What a symbol returns where its work has panicked.
pub trait Fallback {
    const FALLBACK: Self;
}

macro_rules! fallbacks {
    ($($type:ty: $value:expr,)*) => {$(
        impl Fallback for $type {
            const FALLBACK: $type = $value;
        }
    )*};
}

fallbacks! {
    (): (),
    c_int: ERROR,
    isize: ERROR as isize,
    c_long: 0,
    c_uint: 0,
    usize: 0,
    c_double: 0.0,
}

impl<T> Fallback for *const T {
    const FALLBACK: *const T = null();
}

impl<T> Fallback for *mut T {
    const FALLBACK: *mut T = null_mut();
}

/// `ngx_http_lua_ffi_str_t`: bytes with an `int` length, not owned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FfiStr {
    pub len: c_int,
    pub data: *mut u8,
}

impl From<ngx_str_t> for FfiStr {
    #[inline]
    fn from(text: ngx_str_t) -> FfiStr {
        FfiStr { len: c_int::try_from(text.len).unwrap_or(c_int::MAX), data: text.data }
    }
}

/// `ngx_http_lua_ffi_table_elt_t`: a name and a value; a value of length -1 is boolean true.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FfiTableElt {
    pub key: FfiStr,
    pub value: FfiStr,
}

/// Calls `work` with the values that lua-resty-core passes for a header: the strings of `list`
/// where that is not null, else `value`, else none.
///
/// # Errors
/// Those of `work`; a bad value where the length of a string is negative; out of memory for the
/// list.
///
/// # Safety
/// `list` must be null or valid for `list_len` elements, and each of them for its length.
pub unsafe fn with_values<T>(
    value: Option<&[u8]>,
    list: *const FfiStr,
    list_len: usize,
    work: impl FnOnce(&[&[u8]]) -> Result<T, HeaderError>,
) -> Result<T, HeaderError> {
    if list.is_null() {
        return match value {
            Some(value) => work(&[value]),
            None => work(&[]),
        };
    }
    let mut values = fallible::with_capacity(list_len)?;
    for index in 0..list_len {
        // SAFETY: `list` is not null here, so the caller promises `list_len` elements, each valid
        // for its length; `index` is below that, and a negative length has been refused.
        unsafe {
            let text = *list.add(index);
            let len = usize::try_from(text.len).map_err(|_| HeaderError::BadValue)?;
            values.try_push(crate::nginx::core::strings::raw(text.data, len))?;
        }
    }
    work(&values)
}

/// The request of the code that calls; `None` where lua-resty-core passes null, because the code runs for none.
///
/// What it passes otherwise is what `thread.exdata` gives it, the request that the running coroutine was made for.
/// That one may have ended ([`openresty::innermost_request`]).
#[inline(always)]
pub fn request(r: *mut ngx_http_request_t) -> Option<Request> {
    if r.is_null() { None } else { openresty::innermost_request() }
}

/// A request with a client behind it, which most symbols need; `BAD_CONTEXT` for a fake request,
/// and for none.
#[inline(always)]
pub fn real_request(r: *mut ngx_http_request_t) -> Result<Request, c_int> {
    request(r).ok_or(BAD_CONTEXT).and_then(with_client)
}

/// The request, if there is a client behind it; `BAD_CONTEXT` for a fake one.
#[inline(always)]
pub fn with_client(request: Request) -> Result<Request, c_int> {
    if request.is_fake() { Err(BAD_CONTEXT) } else { Ok(request) }
}

/// The context of the code that calls; `None` for null, as for [`request`].
pub fn context(r: *mut ngx_http_request_t) -> Option<Rc<Context>> {
    if r.is_null() { None } else { Context::with_innermost(|context| context.cloned()) }
}

/// As [`context`], without counting a reference: for the time of one call from Lua.
///
/// # Safety
/// The result is not used after the call, and the call does not end the request.
#[inline(always)]
pub unsafe fn borrowed_context<'a>(r: *mut ngx_http_request_t) -> Option<&'a Context> {
    if r.is_null() {
        return None;
    }
    // SAFETY: the caller promises that the request outlives the call: so does the context, of which the request's
    // pool has a share.
    unsafe { Context::with_innermost(|context| context.map_or(null(), Rc::as_ptr)).as_ref() }
}

/// Writes an error into the caller's buffer: `err` has space for `*errlen` bytes, and `*errlen`
/// becomes the length written. No NUL is added.
///
/// # Safety
/// `err` must be valid for `*errlen` bytes, `errlen` for a `size_t`; either may be null.
pub unsafe fn write_error(err: *mut u8, errlen: *mut usize, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    // SAFETY: the caller promises that `errlen` is null or a `size_t`, and `err` null or `*errlen`
    // bytes, which are not the text's; both are checked for null, and no more than that is copied.
    unsafe {
        let Some(errlen) = errlen.as_mut() else { return };
        if err.is_null() {
            return;
        }
        let len = text.len().min(*errlen);
        std::ptr::copy_nonoverlapping(text.as_ptr(), err, len);
        *errlen = len;
    }
}

/// Stores a static text where lua-resty-core looks for the error's message; nothing where that is
/// null.
///
/// # Safety
/// `err` must be null or valid for one pointer.
pub unsafe fn set_message(err: *mut *const c_char, text: &'static CStr) {
    // SAFETY: the caller promises that `err` is null or valid for one pointer; null is handled.
    if let Some(err) = unsafe { err.as_mut() } {
        *err = text.as_ptr();
    }
}

/// Checks that `phases` has the running phase. Otherwise the error is `ERROR`, with the text "API
/// disabled in the context of …" in `err`.
///
/// # Safety
/// As for [`write_error`].
pub unsafe fn check_phase(
    context: &Context,
    phases: PhaseSet,
    err: *mut u8,
    errlen: *mut usize,
) -> Result<(), c_int> {
    let phase = context.phase.get();
    if phases.has(phase) {
        return Ok(());
    }
    // SAFETY: the caller promises what `write_error` asks for: a buffer with its length, or null.
    unsafe { write_error(err, errlen, super::call::refusal(phases, phase)) };
    Err(ERROR)
}

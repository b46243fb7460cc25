//! The symbols behind `ngx.header` and lua-resty-core's `ngx.resp.add_header`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::cell::Cell;
use std::ffi::{c_char, c_int};

use codec::headers::{NAME_BUFFER, Name};
use export::export;

use crate::api::ffi::{self, FfiStr, set_message, with_values};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::http::headers_out;
use crate::nginx::sys::ngx_http_request_t;
use crate::nginx::{Header, HeaderError, Level, Request};
use crate::runtime::Context;

/// Sets a response header: to nothing where `is_nil` is not 0, else to `mvals` (`mvals_len` of
/// them) where that is not null, else to `sval`. With `override` 0 the old values stay.
///
/// 0; -5 if the header has been sent (and a line in the log says so); -100 without a context; -101
/// without a client; -1 with a static text in `*errmsg`. All arguments are copied.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_resp_header(
    r: *mut ngx_http_request_t,
    key_data: *const u8,
    key_len: usize,
    is_nil: c_int,
    sval: *const u8,
    sval_len: usize,
    mvals: *const FfiStr,
    mvals_len: usize,
    r#override: c_int,
    errmsg: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, its own strings with their lengths, and
    // its own out-parameter.
    unsafe {
        let Some(context) = ffi::borrowed_context(r) else { return ffi::NO_REQ_CTX };
        let request = match ffi::with_client(context.request()) {
            Ok(request) => request,
            Err(code) => return code,
        };
        if context.is_header_sent() {
            let text = "attempt to set ngx.header.HEADER after sending out response headers";
            request.log().write(Level::Err, text.as_bytes());
            return ffi::DECLINED;
        }
        let key = strings::raw(key_data, key_len);
        let replace = r#override != 0;
        let result = if is_nil != 0 {
            set(context, request, key, &[], replace)
        } else {
            let value = strings::raw(sval, sval_len);
            with_values(Some(value), mvals, mvals_len, |values| {
                set(context, request, key, values, replace)
            })
        };
        match result {
            Ok(()) => ffi::OK,
            Err(error) => {
                set_message(errmsg, error.message());
                ffi::ERROR
            }
        }
    }
}

/// Sets a header, and remembers that the script has set headers, perhaps the Content-Type.
fn set(
    context: &Context,
    request: Request,
    key: &[u8],
    values: &[&[u8]],
    replace: bool,
) -> Result<(), HeaderError> {
    let mut buffer = NAME_BUFFER;
    let name = Name::new(key, context.location().transform_underscores(), &mut buffer)?;
    context.output.headers_set.set(true);
    if headers_out::set(request, &name, values, replace)? {
        context.output.mime_set.set(true);
    }
    Ok(())
}

/// Puts the values of a response header into `values`, at most `max_nvalues`; they belong to the
/// request. `_key_buf` is scratch space of `key_len` bytes, which this module does not need.
///
/// Returns how many there are; -101 without a client; -1 with a static text in `*errmsg`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_resp_header(
    r: *mut ngx_http_request_t,
    key: *const u8,
    key_len: usize,
    _key_buf: *mut u8,
    values: *mut FfiStr,
    max_nvalues: c_int,
    errmsg: *mut *const c_char,
) -> c_int {
    // SAFETY: lua-resty-core passes the running request, its own string with its length, an array
    // of `max_nvalues` elements, of which `get` writes no more than `room`, and its own
    // out-parameter.
    unsafe {
        let Some(context) = ffi::borrowed_context(r) else { return ffi::BAD_CONTEXT };
        let request = match ffi::with_client(context.request()) {
            Ok(request) => request,
            Err(code) => return code,
        };
        let room = if values.is_null() { 0 } else { usize::try_from(max_nvalues).unwrap_or(0) };
        let key = WantedName {
            name: strings::raw(key, key_len),
            dashes: context.location().transform_underscores(),
        };
        match get(request, &key, room, |index, value| values.add(index).write(value)) {
            Ok(count) => c_int::try_from(count).unwrap_or(ffi::ERROR),
            Err(OutOfMemory) => {
                set_message(errmsg, c"no memory");
                ffi::ERROR
            }
        }
    }
}

/// A header's name as the script wrote it.
struct WantedName<'a> {
    name: &'a [u8],
    /// Underscores in it stand for dashes.
    dashes: bool,
}

impl WantedName<'_> {
    #[inline]
    fn is(&self, name: &[u8]) -> bool {
        self.name == name || self.name.len() == name.len() && self.is_spelled(name)
    }

    #[inline(never)]
    fn is_spelled(&self, name: &[u8]) -> bool {
        let dashed = |byte: u8| if self.dashes && byte == b'_' { b'-' } else { byte };
        let same = |(a, b): (&u8, &u8)| a == b || dashed(*a).eq_ignore_ascii_case(b);
        self.name.iter().zip(name).all(same)
    }
}

/// Passes the values of a header to `store`, up to `room` of them; returns their number.
fn get(
    request: Request,
    key: &WantedName<'_>,
    room: usize,
    mut store: impl FnMut(usize, FfiStr),
) -> Result<usize, OutOfMemory> {
    if room == 0 {
        return Ok(0);
    }
    if let Some(length) = headers_out::content_length(request)
        && key.is(b"Content-Length")
    {
        store(0, kept(request, itoa::Buffer::new().format(length).as_bytes())?);
        return Ok(1);
    }
    let media_type = headers_out::content_type(&request);
    if !media_type.is_empty() && key.is(b"Content-Type") {
        store(0, text(media_type));
        return Ok(1);
    }
    if key.is(b"Last-Modified") {
        let Some(time) = headers_out::last_modified(request) else { return Ok(0) };
        let mut date = [0; codec::http_time::HTTP_TIME_LEN];
        let len = codec::http_time::http_time_into(time, &mut date).unwrap_or(0);
        store(0, kept(request, date.get(..len).unwrap_or_default())?);
        return Ok(1);
    }
    let count = Cell::new(0);
    let mut add = |header: Header| {
        if count.get() < room {
            store(count.get(), text(header.value()));
            count.set(count.get() + 1);
        }
    };
    headers_out::for_each_named(request, key.name, |header| {
        if key.is(header.name()) {
            add(header);
        }
    });
    if count.get() == 0
        && let Some(name) = headers_out::OWN.iter().find(|name| key.is(name))
    {
        headers_out::for_each_own(request, name, add);
    }
    Ok(count.get())
}

/// A copy of `bytes` in the request's pool.
fn kept(request: Request, bytes: &[u8]) -> Result<FfiStr, OutOfMemory> {
    Ok(request.pool().copy_str(bytes)?.into())
}

fn text(bytes: &[u8]) -> FfiStr {
    strings::borrowed(bytes).into()
}

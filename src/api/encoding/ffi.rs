//! The C symbols of escaping and base64. They keep nothing: memory stays the caller's, and the
//! source and the destination do not overlap.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::c_int;
use std::ptr::copy_nonoverlapping;
use std::slice::from_raw_parts_mut;

use codec::base64::{self, Flavour};
use codec::uri::{self, EscapeType};
use export::export;

use crate::nginx::core::strings::raw;

/// The length of `src[..len]` escaped by the rules of `kind` (nginx's `NGX_ESCAPE_*` number, or 7
/// and 8 for a header's name and value); `len` for a number that has no rules.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(len)]
pub unsafe extern "C" fn ngx_http_lua_ffi_uri_escaped_length(
    src: *const u8,
    len: usize,
    kind: c_int,
) -> usize {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let src = unsafe { raw(src, len) };
    EscapeType::from_code(kind).map_or(len, |kind| uri::escaped_len(src, kind))
}

/// Escapes `src[..len]` into `dst`, which has space for `ngx_http_lua_ffi_uri_escaped_length`
/// bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_escape_uri(
    src: *const u8,
    len: usize,
    dst: *mut u8,
    kind: c_int,
) {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let src = unsafe { raw(src, len) };
    if src.is_empty() || dst.is_null() {
        return;
    }
    // SAFETY: lua-resty-core passes a buffer of the escaped length, which is `len` for a kind
    // without rules; `escape_with` gives as many bytes as `escaped_len` has counted.
    unsafe {
        let Some(kind) = EscapeType::from_code(kind) else {
            copy_nonoverlapping(src.as_ptr(), dst, src.len());
            return;
        };
        let mut to = dst;
        uri::escape_with(src, kind, |piece| {
            copy_nonoverlapping(piece.as_ptr(), to, piece.len());
            to = to.add(piece.len());
        });
    }
}

/// Unescapes `src[..len]` into `dst`, which has space for `len` bytes. Returns the length written.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_unescape_uri(
    src: *const u8,
    len: usize,
    dst: *mut u8,
) -> usize {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let src = unsafe { raw(src, len) };
    if src.is_empty() || dst.is_null() {
        return 0;
    }
    // SAFETY: lua-resty-core passes a buffer of `len` bytes, of its own; null is checked.
    let dst = unsafe { from_raw_parts_mut(dst, src.len()) };
    uri::unescape_into(src, dst).unwrap_or(0)
}

/// Encodes `src[..len]` into `dst`, which has space for the exact result: four bytes for each three
/// begun, less the padding where `no_padding` is not 0. Returns the length written.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_encode_base64(
    src: *const u8,
    len: usize,
    dst: *mut u8,
    no_padding: c_int,
) -> usize {
    let flavour = if no_padding == 0 { Flavour::Standard } else { Flavour::NoPadding };
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let src = unsafe { raw(src, len) };
    let Some(room) = base64::encoded_len(src.len(), flavour) else { return 0 };
    if room == 0 || dst.is_null() {
        return 0;
    }
    // SAFETY: lua-resty-core passes a buffer of the encoded length, by the same formula; null is
    // checked.
    let dst = unsafe { from_raw_parts_mut(dst, room) };
    base64::encode_into(src, flavour, dst).unwrap_or(0)
}

/// Decodes `src[..len]` into `dst`, which has space for three bytes for each four begun, and puts
/// the length written into `*dlen`. Returns 1, or 0 where `src` is malformed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_decode_base64(
    src: *const u8,
    len: usize,
    dst: *mut u8,
    dlen: *mut usize,
) -> c_int {
    let decode = |src: &[u8], dst: &mut [u8]| base64::decode_into(src, Flavour::Standard, dst);
    // SAFETY: lua-resty-core passes a Lua string with its length, a buffer of its own with three
    // bytes for each four begun, and an out-parameter.
    unsafe { decode_with(decode, src, len, dst, dlen) }
}

/// As `ngx_http_lua_ffi_decode_base64`, but bytes outside of the base64 alphabet are skipped.
///
/// lua-resty-core calls it from 0.1.31 on.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_decode_base64mime(
    src: *const u8,
    len: usize,
    dst: *mut u8,
    dlen: *mut usize,
) -> c_int {
    // SAFETY: lua-resty-core passes the same arguments as for `ngx_http_lua_ffi_decode_base64`.
    unsafe { decode_with(base64::decode_mime_into, src, len, dst, dlen) }
}

/// What the decoding symbols share.
///
/// # Safety
/// As for these symbols: `len` bytes at `src`, space at `dst` for three bytes for each four begun,
/// an out-parameter `dlen`; each may be null.
unsafe fn decode_with(
    decode: impl FnOnce(&[u8], &mut [u8]) -> Option<usize>,
    src: *const u8,
    len: usize,
    dst: *mut u8,
    dlen: *mut usize,
) -> c_int {
    // SAFETY: the caller promises null or `len` bytes at `src`, and null or an out-parameter.
    let (src, Some(dlen)) = (unsafe { (raw(src, len), dlen.as_mut()) }) else { return 0 };
    *dlen = 0;
    if src.is_empty() {
        return 1;
    }
    if dst.is_null() {
        return 0;
    }
    // SAFETY: the caller promises three bytes at `dst` for each four begun, which is
    // `max_decoded_len`; null is checked.
    let dst = unsafe { from_raw_parts_mut(dst, base64::max_decoded_len(src.len())) };
    let Some(written) = decode(src, dst) else { return 0 };
    *dlen = written;
    1
}

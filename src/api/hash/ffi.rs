//! The C symbols of digests and checksums. Buffers are the caller's, and have the size that each
//! function names.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_uint};

use codec::{hex, md5};
use export::export;
use sha1::{Digest, Sha1};

use crate::nginx::core::strings::raw;

/// The MD5 of `src`, computed with the instruction `andn` if the processor has it.
fn md5(src: &[u8]) -> [u8; 16] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi1") {
        // SAFETY: the test above says that the processor has BMI1.
        return unsafe { md5_with_andn(src) };
    }
    md5_as_compiled(src)
}

/// # Safety
/// The processor must have the instructions of BMI1.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1")]
fn md5_with_andn(src: &[u8]) -> [u8; 16] {
    md5::digest(src)
}

/// The MD5 of `src`, computed with the instructions that the whole module is compiled for.
#[inline(never)]
fn md5_as_compiled(src: &[u8]) -> [u8; 16] {
    md5::digest(src)
}

/// Writes the MD5 of `src[..len]`, 16 bytes, to `dst`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_md5_bin(src: *const u8, len: usize, dst: *mut u8) {
    // SAFETY: lua-resty-core passes a Lua string with its length, and a buffer of 16 bytes.
    unsafe { put(dst, md5(raw(src, len))) };
}

/// Writes the MD5 of `src[..len]` in lower-case hexadecimal, 32 bytes, to `dst`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_md5(src: *const u8, len: usize, dst: *mut u8) {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let digest = md5(unsafe { raw(src, len) });
    let mut digits = [0; 32];
    hex::encode_into(&digest, &mut digits);
    // SAFETY: lua-resty-core passes a buffer of 32 bytes.
    unsafe { put(dst, digits) };
}

/// Writes the SHA-1 of `src[..len]`, 20 bytes, to `dst`. Returns 1, or 0 where there is no `dst`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_ffi_sha1_bin(
    src: *const u8,
    len: usize,
    dst: *mut u8,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string with its length, and a buffer of 20 bytes.
    unsafe { put(dst, Sha1::digest(raw(src, len)).into()) }.is_some().into()
}

/// The CRC-32 of `src[..len]`. nginx has one function for short strings and one for long ones;
/// here, both symbols do the same.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_crc32_short(src: *const u8, len: usize) -> c_uint {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    codec::crc32::checksum(unsafe { raw(src, len) })
}

/// The CRC-32 of `src[..len]`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_crc32_long(src: *const u8, len: usize) -> c_uint {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    codec::crc32::checksum(unsafe { raw(src, len) })
}

/// Writes `bytes` to `dst`; `None` if that is null.
///
/// # Safety
/// `dst` must be null or valid for `N` bytes.
unsafe fn put<const N: usize>(dst: *mut u8, bytes: [u8; N]) -> Option<()> {
    if dst.is_null() {
        return None;
    }
    // SAFETY: the caller promises null or `N` bytes; null is handled above.
    unsafe { dst.cast::<[u8; N]>().write_unaligned(bytes) };
    Some(())
}

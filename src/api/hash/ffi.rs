//! The C symbols of digests and checksums. Buffers are the caller's and of the size that each
//! names.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_uint};

use codec::{hex, md5};
use export::export;
use sha1::{Digest, Sha1};

use crate::nginx::core::strings::raw;

/// The MD5 of `src`, with the processor's `andn` where it has one.
fn md5(src: &[u8]) -> [u8; 16] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has what the function is compiled for.
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

/// For the processor that all of the module is compiled for.
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
    // SAFETY: a string of `len` bytes and a buffer of 16 bytes, as the prototype says.
    unsafe { put(dst, md5(raw(src, len))) };
}

/// Writes the MD5 of `src[..len]` in lower-case hexadecimal, 32 bytes, to `dst`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_md5(src: *const u8, len: usize, dst: *mut u8) {
    // SAFETY: a string of `len` bytes, as the prototype says.
    let digest = md5(unsafe { raw(src, len) });
    let mut digits = [0; 32];
    hex::encode_into(&digest, &mut digits);
    // SAFETY: `dst` has 32 bytes, the contract of this function.
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
    // SAFETY: a string of `len` bytes and a buffer of 20 bytes, as the prototype says.
    unsafe { put(dst, Sha1::digest(raw(src, len)).into()) }.is_some().into()
}

/// The CRC-32 of `src[..len]`; best for short strings in nginx's C, the same function here.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_crc32_short(src: *const u8, len: usize) -> c_uint {
    // SAFETY: a string of `len` bytes, as the prototype says.
    codec::crc32::checksum(unsafe { raw(src, len) })
}

/// The CRC-32 of `src[..len]`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_crc32_long(src: *const u8, len: usize) -> c_uint {
    // SAFETY: a string of `len` bytes, as the prototype says.
    codec::crc32::checksum(unsafe { raw(src, len) })
}

/// Writes `bytes` to `dst`; nothing where it is null.
///
/// # Safety
/// `dst` must be null or valid for `N` bytes.
unsafe fn put<const N: usize>(dst: *mut u8, bytes: [u8; N]) -> Option<()> {
    if dst.is_null() {
        return None;
    }
    // SAFETY: `dst` is null or valid for `N` bytes, the contract of this function.
    unsafe { dst.cast::<[u8; N]>().write_unaligned(bytes) };
    Some(())
}

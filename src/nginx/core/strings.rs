//! `ngx_str_t` and byte slices.

use codec::fallible;

use crate::nginx::sys::ngx_str_t;

/// The bytes of an nginx string.
///
/// # Safety
/// `s` must hold a valid pointer and length (or be empty), and live for `'a`.
pub unsafe fn bytes<'a>(s: ngx_str_t) -> &'a [u8] {
    if s.len == 0 || s.data.is_null() {
        return &[];
    }
    // SAFETY: pointer and length are valid for `'a`, the contract of this function; null is handled
    // above.
    unsafe { std::slice::from_raw_parts(s.data, s.len) }
}

/// Bytes that nginx keeps, in a request's pool or a cycle's; copies are the same bytes.
#[derive(Clone, Copy)]
pub struct PoolStr(ngx_str_t);

impl PoolStr {
    /// # Safety
    /// `s` must hold a valid pointer and length (or be empty) for as long as the value is used.
    pub unsafe fn new(s: ngx_str_t) -> PoolStr {
        PoolStr(s)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: pointer and length are valid while the value is used, `new`'s contract.
        unsafe { bytes(self.0) }
    }

    /// The string in nginx's form.
    pub fn raw(self) -> ngx_str_t {
        self.0
    }
}

/// The `len` bytes at `data`, or nothing where the pointer is null.
///
/// # Safety
/// `data` must be null or valid for `len` bytes and for `'a`.
pub unsafe fn raw<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: pointer and length are valid for `'a`, the contract of this function; null is handled
    // above.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// An nginx string that borrows `bytes`.
///
/// nginx's type is not const-correct: the value must only be passed to functions that do not write
/// through it.
pub fn borrowed(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}

/// An nginx string in a structure that C code reads, over bytes that the structure's owner keeps.
#[repr(transparent)]
pub struct View(ngx_str_t);

impl View {
    pub fn of(bytes: &[u8]) -> View {
        View(borrowed(bytes))
    }
}

/// The system's words for an error, as C's `strerror` gives them.
pub fn strerror(error: &std::io::Error) -> String {
    let mut text = fallible::text(format_args!("{error}"));
    let len = text.find(" (os error").unwrap_or(text.len());
    text.truncate(len);
    text
}

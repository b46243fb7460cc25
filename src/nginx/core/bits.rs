//! Bit fields of nginx's structures that are wider than a flag.
//!
//! bindgen's accessors go bit by bit, hundreds of instructions for one reference count. These
//! functions read and write the whole word: on little-endian machines, the first field of a unit is
//! in its lowest bits. Debug builds compare the result with bindgen's.

use std::mem::offset_of;
use std::ptr::addr_of_mut;

use crate::nginx::sys::{ngx_http_request_t, ngx_http_variable_value_t};

const WORDS: bool = cfg!(target_endian = "little");
/// The bits of a variable value's length.
const LEN: u32 = (1 << 28) - 1;

const _: () = assert!(offset_of!(ngx_http_variable_value_t, _bitfield_1) == 0);
const _: () = assert!(offset_of!(ngx_http_request_t, _bitfield_1) % 2 == 0);

/// `value->len`.
pub fn value_len(value: &ngx_http_variable_value_t) -> usize {
    if !WORDS {
        return value.len() as usize;
    }
    // SAFETY: the unit is the structure's first word, and aligned as one.
    let word = unsafe { std::ptr::from_ref(value).cast::<u32>().read() };
    debug_assert_eq!(word & LEN, value.len());
    (word & LEN) as usize
}

/// `value->len = len`; what does not fit is cut off, as in C.
pub fn set_value_len(value: &mut ngx_http_variable_value_t, len: usize) {
    let len = len as u32 & LEN;
    if !WORDS {
        return value.set_len(len);
    }
    let word: *mut u32 = std::ptr::from_mut(value).cast();
    // SAFETY: as in `value_len`.
    unsafe { word.write((word.read() & !LEN) | len) }
    debug_assert_eq!(len, value.len());
}

/// `r->count`.
///
/// # Safety
/// `r` must be a live request.
pub unsafe fn count(r: *mut ngx_http_request_t) -> u32 {
    // SAFETY: `r` is live, the contract of this function; the count is the first 16 bits of its
    // unit.
    unsafe {
        if !WORDS {
            return (*r).count();
        }
        let count = u32::from(addr_of_mut!((*r)._bitfield_1).cast::<u16>().read());
        debug_assert_eq!(count, (*r).count());
        count
    }
}

/// `r->count = count`.
///
/// # Safety
/// `r` must be a live request.
pub unsafe fn set_count(r: *mut ngx_http_request_t, count: u32) {
    // SAFETY: as in `count`.
    unsafe {
        if !WORDS {
            return (*r).set_count(count);
        }
        addr_of_mut!((*r)._bitfield_1).cast::<u16>().write(count as u16);
        debug_assert_eq!(count, (*r).count());
    }
}

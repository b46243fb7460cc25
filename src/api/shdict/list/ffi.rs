//! What lua/shdict_lists.lua calls through LuaJIT's FFI. It is given the functions' addresses by
//! [`inject`]: no symbols are exported.
//!
//! `zone` is one of the dictionaries that the Lua code was given, `key` a Lua string. Results below
//! zero are the constants below. After `FAILED`, the Lua code calls the C function for Lua
//! instead, which does it all again, or returns the error.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::ptr::copy_nonoverlapping;

use export::callback;

use crate::api::shdict::ffi::arguments;
use crate::api::shdict::list;
use crate::api::shdict::store::{NUMBER, STRING};
use crate::lua::Outcome;
use crate::lua::State;
use crate::nginx::core::shared_memory::DictValue;
use crate::nginx::core::strings;
use crate::nginx::sys::ngx_shm_zone_t;

/// Results of [`pop`] that are no length: the list has no item; the item is a number.
const NO_ITEM: f64 = -1.0;
const A_NUMBER: f64 = -2.0;
/// Nothing has been changed.
const FAILED: f64 = -3.0;

type Zone = *mut ngx_shm_zone_t;

/// Adds `text` to the left or right of a list, or `number` if `text` is null. Returns how many
/// items the list has then.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
#[callback(FAILED)]
unsafe extern "C" fn push(
    zone: Zone,
    key: *const u8,
    key_len: usize,
    left: c_int,
    text: *const u8,
    text_len: usize,
    number: f64,
) -> f64 {
    // SAFETY: the Lua code passes a zone that it was given, and Lua strings.
    let (arguments, text) = unsafe {
        (arguments(zone, key, key_len), (!text.is_null()).then(|| strings::raw(text, text_len)))
    };
    let Ok((dict, key)) = arguments else { return FAILED };
    let number = number.to_ne_bytes();
    let value = match text {
        Some(bytes) => DictValue { kind: STRING, bytes },
        None => DictValue { kind: NUMBER, bytes: &number },
    };
    list::push(dict, key, value, left != 0).map_or(FAILED, f64::from)
}

/// Takes an item off the left or right of a list. A text goes to `text`, which has space for `room`
/// bytes, and the result is its length; a longer one stays in the list. A number goes to `number`.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
#[callback(FAILED)]
unsafe extern "C" fn pop(
    zone: Zone,
    key: *const u8,
    key_len: usize,
    left: c_int,
    text: *mut u8,
    room: usize,
    number: *mut f64,
) -> f64 {
    // SAFETY: as in `push`: a zone that the Lua code was given, and a Lua string.
    let Ok((dict, key)) = (unsafe { arguments(zone, key, key_len) }) else { return FAILED };
    let mut left_there = false;
    let taken = list::pop(dict, key, left != 0, |item| {
        let result = match (item.kind, <[u8; 8]>::try_from(item.bytes)) {
            (STRING, _) if item.bytes.len() <= room => {
                // SAFETY: the Lua code passes a buffer of `room` bytes, and the text is no longer.
                unsafe { copy_nonoverlapping(item.bytes.as_ptr(), text, item.bytes.len()) };
                Some(item.bytes.len() as f64)
            }
            (NUMBER, Ok(bytes)) => {
                // SAFETY: the Lua code passes an out-parameter of its own.
                unsafe { number.write(f64::from_ne_bytes(bytes)) };
                Some(A_NUMBER)
            }
            _ => None,
        };
        left_there = result.is_none();
        result
    });
    match taken {
        Ok(Some(result)) => result,
        Ok(None) if !left_there => NO_ITEM,
        _ => FAILED,
    }
}

/// How many items a list has.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
#[callback(FAILED)]
unsafe extern "C" fn len(zone: Zone, key: *const u8, key_len: usize) -> f64 {
    // SAFETY: as in `push`: a zone that the Lua code was given, and a Lua string.
    let Ok((dict, key)) = (unsafe { arguments(zone, key, key_len) }) else { return FAILED };
    list::len(dict, key).map_or(FAILED, f64::from)
}

/// Replaces methods of lists in the table on top by Lua functions that call those above. The table
/// below it has the address of each zone by its userdata. The stack stays as it is.
///
/// To be called in protected mode: it may raise a Lua error.
pub fn inject(mut state: State) {
    let code = include_bytes!("../../../../lua/shdict_lists.lua");
    if state.load(code, c"=ngx.shared lists") != Outcome::Done {
        return state.pop(1);
    }
    for index in [-2, -4] {
        state.push_value(index);
    }
    for function in [push as *const c_void, pop as *const c_void, len as *const c_void] {
        state.push_light_userdata(function.cast_mut());
    }
    state.call_raising(5, 0);
}

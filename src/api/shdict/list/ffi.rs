//! What lua/shdict_lists.lua calls through LuaJIT's FFI. It has the functions' addresses from here:
//! no symbols are exported.
//!
//! `zone` is one of the dictionaries that the Lua code was given, `key` a Lua string. Below zero is
//! a result that the Lua code looks up elsewhere; nothing has been changed then.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::ptr::copy_nonoverlapping;

use crate::api::shdict::ffi::arguments;
use crate::api::shdict::list;
use crate::api::shdict::store::{NUMBER, STRING};
use crate::lua::Outcome;
use crate::lua::State;
use crate::nginx::core::shared_memory::DictValue;
use crate::nginx::core::strings;
use crate::nginx::guard;
use crate::nginx::sys::ngx_shm_zone_t;

/// Results of [`pop`] that are no length.
const NO_ITEM: f64 = -1.0;
const A_NUMBER: f64 = -2.0;
/// Nothing was done.
const FAILED: f64 = -3.0;

type Zone = *mut ngx_shm_zone_t;

/// Adds `text` to the left or right of a list, or `number` where there is no text. Returns how many
/// items it has then.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
unsafe extern "C" fn push(
    zone: Zone,
    key: *const u8,
    key_len: usize,
    left: c_int,
    text: *const u8,
    text_len: usize,
    number: f64,
) -> f64 {
    guard(FAILED, || {
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
    })
}

/// Takes an item off the left or right of a list: a text to `text`, unless it is longer than `room`,
/// a number to `number`. Returns the text's length.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
unsafe extern "C" fn pop(
    zone: Zone,
    key: *const u8,
    key_len: usize,
    left: c_int,
    text: *mut u8,
    room: usize,
    number: *mut f64,
) -> f64 {
    guard(FAILED, || {
        // SAFETY: as in `push`.
        let Ok((dict, key)) = (unsafe { arguments(zone, key, key_len) }) else { return FAILED };
        let mut left_there = false;
        let taken = list::pop(dict, key, left != 0, |item| {
            let result = match (item.kind, <[u8; 8]>::try_from(item.bytes)) {
                (STRING, _) if item.bytes.len() <= room => {
                    // SAFETY: the Lua code's buffer has space for that.
                    unsafe { copy_nonoverlapping(item.bytes.as_ptr(), text, item.bytes.len()) };
                    Some(item.bytes.len() as f64)
                }
                (NUMBER, Ok(bytes)) => {
                    // SAFETY: the Lua code's out-parameter.
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
    })
}

/// How many items a list has.
///
/// # Safety
/// Only lua/shdict_lists.lua may call this, with pointers that are valid as described.
unsafe extern "C" fn len(zone: Zone, key: *const u8, key_len: usize) -> f64 {
    guard(FAILED, || {
        // SAFETY: as in `push`.
        let Ok((dict, key)) = (unsafe { arguments(zone, key, key_len) }) else { return FAILED };
        list::len(dict, key).map_or(FAILED, f64::from)
    })
}

/// Replaces methods in the table on top by their FFI faces, given the userdata of all dictionaries
/// in the table below it.
///
/// Runs in protected mode: may raise.
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

//! The functions that other nginx modules link against.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::ptr::{copy_nonoverlapping, null_mut};

use codec::fallible;
use export::export;

use crate::api::ffi::{DECLINED, DONE, ERROR, OK};
use crate::api::shdict::MAX_KEY;
use crate::api::shdict::store::{self, BOOLEAN, Found, NUMBER, STRING};
use crate::config::MainConf;
use crate::nginx::Level;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::shared_memory::{Dict, zones};
use crate::nginx::core::{log, strings};
use crate::nginx::sys::{ngx_conf_t, ngx_int_t, ngx_shm_zone_t, ngx_str_t};

/// `ngx_http_lua_value_t`: a value with Lua's number for its type.
#[repr(C)]
pub struct LuaValue {
    kind: u8,
    value: LuaValueUnion,
}

#[repr(C)]
union LuaValueUnion {
    boolean: c_int,
    number: f64,
    /// The caller's buffer, with its size; afterwards with the length of what has been copied.
    string: ngx_str_t,
}

/// Reads what a shared dictionary has under a key.
///
/// `zone` comes from `ngx_http_lua_find_zone`. A string is copied to `value->value.s`, whose data
/// and size the caller sets; it is cut where it is longer. Returns `NGX_OK`, `NGX_DECLINED` where
/// there is nothing, `NGX_DONE` if it has expired, or `NGX_ERROR`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_shared_dict_get(
    zone: *mut ngx_shm_zone_t,
    key_data: *mut u8,
    key_len: usize,
    value: *mut LuaValue,
) -> ngx_int_t {
    // SAFETY: the calling module passes a zone that `ngx_http_lua_find_zone` has found in the
    // current cycle, and a key and a value of its own.
    let (dict, key, value) =
        unsafe { (Dict::from_ptr(zone), strings::raw(key_data, key_len), value.as_mut()) };
    let (Some(dict), Some(value)) = (dict, value) else { return ERROR as ngx_int_t };
    if key.len() > MAX_KEY {
        return ERROR as ngx_int_t;
    }
    let read = |found: &Found| {
        if found.is_stale {
            return Ok(DONE);
        }
        // SAFETY: the calling module has set the union's string before the call, to a buffer of its
        // own with its size, or to null.
        unsafe { read(found, value) }.map(|()| OK)
    };
    let rc = match store::get(dict, key, true, read) {
        None => DECLINED,
        Some(Ok(rc)) => rc,
        Some(Err(text)) => {
            log::log_cycle(Level::Err, text.as_bytes());
            ERROR
        }
    };
    rc as ngx_int_t
}

/// Writes what has been found to the caller's `value`. An error is a text for the log.
///
/// # Safety
/// If `value` is a string, its data must be valid for its length.
unsafe fn read(found: &Found, value: &mut LuaValue) -> Result<(), String> {
    let bytes = found.value.bytes;
    value.kind = found.value.kind;
    match (found.value.kind, bytes) {
        (STRING, _) => {
            // SAFETY: the caller has set the union's string to a buffer with its size; null is
            // checked, and no more than the size is copied.
            unsafe {
                let into = &mut value.value.string;
                if into.data.is_null() || into.len == 0 {
                    return Err("no string buffer initialized".into());
                }
                into.len = into.len.min(bytes.len());
                copy_nonoverlapping(bytes.as_ptr(), into.data, into.len);
            }
            Ok(())
        }
        (NUMBER, _) => {
            let number = bytes.try_into().map_err(|_| bad(found))?;
            value.value.number = f64::from_ne_bytes(number);
            Ok(())
        }
        (BOOLEAN, [truth]) => {
            value.value.boolean = c_int::from(*truth);
            Ok(())
        }
        _ => Err(bad(found)),
    }
}

fn bad(found: &Found) -> String {
    fallible::text(format_args!("bad lua value type found: {}", found.value.kind))
}

/// The zone of that name that was added through this module, by `lua_shared_dict` or
/// [`ngx_http_lua_shared_memory_add`]; null if there is none. nginx owns it, and it lives as long
/// as the current cycle.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_find_zone(
    name_data: *mut u8,
    name_len: usize,
) -> *mut ngx_shm_zone_t {
    // SAFETY: the calling module passes a name of its own, with its length.
    zones::find(unsafe { strings::raw(name_data, name_len) })
}

/// Adds a zone of shared memory that is initialised before `init_by_lua*` runs; to be called while
/// nginx reads the configuration.
///
/// The caller sets `init` and `data` of the result, as with nginx's own `ngx_shared_memory_add`; if
/// `data` is set already, the zone was added before. Null on an error, which has been logged.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_shared_memory_add(
    cf: *mut ngx_conf_t,
    name: *mut ngx_str_t,
    size: usize,
    tag: *mut c_void,
) -> *mut ngx_shm_zone_t {
    // SAFETY: other modules have `cf` from nginx, which calls them while it reads the http block:
    // this module's main configuration exists by then. The name is a string of the caller's.
    unsafe {
        let (Some(cf), Some(name)) = (Conf::from_ptr(cf), name.as_ref()) else {
            return null_mut();
        };
        let zone = MainConf::of(&cf).zones.add(cf, strings::bytes(*name), size, tag);
        zone.map_or(null_mut(), |zone| zone.as_ptr())
    }
}

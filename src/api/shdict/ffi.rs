//! The C symbols behind `ngx.shared.DICT`.
//!
//! `zone` is what `ngx_http_lua_ffi_shdict_udata_to_zone` has returned; keys are checked here,
//! although lua-resty-core checks them too.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::mem::size_of;
use std::ptr::{self, copy_nonoverlapping, null, null_mut};

use codec::fallible;
use export::export;

use super::MAX_KEY;
use super::store::{self, BOOLEAN, Found, Initial, NIL, NUMBER, STRING, StoreOutcome, Stored};
use crate::api::ffi::{self, DECLINED, ERROR, OK};
use crate::lua::State;
use crate::nginx::Level;
use crate::nginx::core::shared_memory::{Dict, DictValue, NEVER};
use crate::nginx::core::{log, strings};
use crate::nginx::sys::ngx_shm_zone_t;

/// What the userdata of a dictionary holds.
#[repr(C)]
struct Holder {
    zone: *mut ngx_shm_zone_t,
    /// The address of [`MARK`], which no other userdata has in this place.
    mark: *const u8,
}

static MARK: u8 = 0;

impl Holder {
    /// The zone; `None` if this is some other userdata's memory.
    fn zone(&self) -> Option<*mut ngx_shm_zone_t> {
        ptr::eq(self.mark, &MARK).then_some(self.zone)
    }
}

/// Pushes a userdata that holds a dictionary's zone.
pub fn push_zone(state: State, dict: Dict) {
    let holder: *mut Holder = state.new_userdata(size_of::<Holder>()).cast();
    // SAFETY: Lua has made a userdata of that size, aligned for any value.
    unsafe { holder.write(Holder { zone: dict.as_ptr(), mark: &raw const MARK }) };
}

/// The dictionary of the userdata at `index`, which [`push_zone`] has made; `None` for other
/// values.
pub fn zone_at(state: State, index: i32) -> Option<Dict> {
    let holder: *const Holder = state.userdata(index).cast_const().cast();
    // A light userdata has no length.
    if holder.is_null() || state.raw_len(index) != size_of::<Holder>() {
        return None;
    }
    // SAFETY: the userdata has that size. With the mark, it is one of `push_zone`'s, whose zone is
    // one of the VM's cycle.
    unsafe { (*holder).zone().and_then(|zone| Dict::from_ptr(zone)) }
}

/// The zone that the userdata at index 1 of a dictionary's table holds; null for null, and for any
/// other userdata. nginx owns it, and it lives as long as the VM's cycle.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(unguarded = "it reads two pointers")]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_udata_to_zone(
    zone_udata: *mut c_void,
) -> *mut ngx_shm_zone_t {
    // SAFETY: lua-resty-core passes the userdata at index 1 of a table. If a script has put a
    // smaller one there, what lies behind it is LuaJIT's heap, which can be read.
    let holder = unsafe { zone_udata.cast::<Holder>().as_ref() };
    holder.and_then(Holder::zone).unwrap_or(null_mut())
}

/// The dictionary and the key of a call, or the text of what is wrong with them.
///
/// # Safety
/// `zone` comes from udata_to_zone, `key` is valid for `key_len` bytes.
pub unsafe fn arguments<'a>(
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
) -> Result<(Dict, &'a [u8]), &'static CStr> {
    // SAFETY: the caller promises a zone that udata_to_zone has returned: one of the VM's cycle,
    // which outlives the VM.
    let dict = unsafe { Dict::from_ptr(zone) }.ok_or(c"bad zone")?;
    if key_len > MAX_KEY {
        return Err(c"key too long");
    }
    // SAFETY: the caller promises `key_len` bytes at `key`, for the time of its call.
    match unsafe { strings::raw(key, key_len) } {
        b"" => Err(c"empty key"),
        key => Ok((dict, key)),
    }
}

/// Stores, adds or replaces a value, or removes it (a nil).
///
/// `op` has the bits 0x1 (only if there is none), 0x2 (only if there is one) and 0x4 (evict nothing
/// for it). A boolean is in `num_value`; `exptime` is in milliseconds, 0 for ever. `*forcible`
/// becomes 1 if other entries have been evicted, else 0. Returns 0; -5 with "exists" or "not found"
/// in `*errmsg`; or -1 with another static text.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_store(
    zone: *mut ngx_shm_zone_t,
    op: c_int,
    key: *const u8,
    key_len: usize,
    value_type: c_int,
    str_value_buf: *const u8,
    str_value_len: usize,
    num_value: f64,
    exptime: c_long,
    user_flags: c_int,
    errmsg: *mut *const c_char,
    forcible: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes Lua strings with their lengths, and its own out-parameters.
    unsafe {
        set(forcible, 0);
        let (dict, key) = match arguments(zone, key, key_len) {
            Ok(arguments) => arguments,
            Err(text) => return fail(errmsg, text),
        };
        let number = num_value.to_ne_bytes();
        let truth = [u8::from(num_value != 0.0)];
        let kind = u8::try_from(value_type).unwrap_or(u8::MAX);
        let bytes: Option<&[u8]> = match kind {
            STRING => Some(strings::raw(str_value_buf, str_value_len)),
            NUMBER => Some(&number),
            BOOLEAN => Some(&truth),
            NIL if op & (store::ADD | store::REPLACE) != 0 => {
                return fail(errmsg, c"attempt to add or replace nil values");
            }
            NIL => None,
            _ => return fail(errmsg, c"unsupported value type"),
        };
        let stored = bytes.map(|bytes| Stored {
            value: DictValue { kind, bytes },
            ttl: exptime,
            flags: user_flags as u32,
        });
        let outcome = store::store(dict, key, stored.as_ref(), op);
        finish(outcome, errmsg, forcible).map_or_else(|rc| rc, |()| OK)
    }
}

/// Writes the out-parameters of an operation: whether entries have been evicted, and the text of
/// the error, if there is one. The error that it returns is the C symbol's result.
///
/// # Safety
/// The out-parameters must be null or valid.
unsafe fn finish<T>(
    outcome: StoreOutcome<T>,
    errmsg: *mut *const c_char,
    forcible: *mut c_int,
) -> Result<T, c_int> {
    // SAFETY: the caller promises that both out-parameters are null or valid.
    unsafe {
        set(forcible, c_int::from(outcome.forcible));
        outcome.result.map_err(|error| {
            ffi::set_message(errmsg, error.text());
            match error {
                store::StoreError::NotFound | store::StoreError::Exists => DECLINED,
                store::StoreError::NotANumber | store::StoreError::NoMemory => ERROR,
            }
        })
    }
}

/// Stores the text of an error; returns `ERROR`.
///
/// # Safety
/// `errmsg` must be null or valid for one pointer.
unsafe fn fail(errmsg: *mut *const c_char, text: &'static CStr) -> c_int {
    // SAFETY: the caller promises that `errmsg` is null or valid for one pointer.
    unsafe { ffi::set_message(errmsg, text) };
    ERROR
}

/// Writes an out-parameter, unless it is null.
///
/// # Safety
/// `out` must be null or valid for a `T`.
unsafe fn set<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: it is not null, so the caller promises that it is valid for a `T`.
        unsafe { out.write(value) };
    }
}

/// The out-parameters for a value that has been found.
struct Target {
    value_type: *mut c_int,
    buffer: *mut *mut u8,
    len: *mut usize,
    number: *mut f64,
    errmsg: *mut *const c_char,
}

/// Reads a value.
///
/// `*value_type` becomes Lua's number for its type, 0 for none. A string goes to `*str_value_buf`,
/// which has space for `*str_value_len` bytes; a longer one goes to memory of its own, which
/// replaces the pointer there and which the caller frees with `free`. A boolean is that buffer's
/// first byte. With `get_stale`, an expired entry is found too, and `*is_stale` is 1. Returns 0; or
/// -1, with a static text in `*errmsg`, or null there without memory and for a damaged value, which
/// is logged.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_get(
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
    value_type: *mut c_int,
    str_value_buf: *mut *mut u8,
    str_value_len: *mut usize,
    num_value: *mut f64,
    user_flags: *mut c_int,
    get_stale: c_int,
    is_stale: *mut c_int,
    errmsg: *mut *const c_char,
) -> c_int {
    let has_cells = !value_type.is_null()
        && !str_value_buf.is_null()
        && !str_value_len.is_null()
        && !num_value.is_null();
    // SAFETY: lua-resty-core passes a Lua string with its length, and its own out-parameters.
    unsafe {
        set(errmsg, null());
        let (dict, key) = match arguments(zone, key, key_len) {
            Ok(arguments) => arguments,
            Err(text) => return fail(errmsg, text),
        };
        if !has_cells {
            return ERROR;
        }
        let target = Target {
            value_type,
            buffer: str_value_buf,
            len: str_value_len,
            number: num_value,
            errmsg,
        };
        let found = store::get(dict, key, get_stale != 0, |found| {
            set(user_flags, found.flags as c_int);
            set(is_stale, c_int::from(found.is_stale));
            write_value(found, &target)
        });
        let Some(written) = found else {
            set(value_type, c_int::from(NIL));
            return OK;
        };
        if let Err(Some(text)) = &written {
            let pieces = [text.as_bytes(), b" in shared_dict ", dict.name()];
            log::cycle_log().write_pieces(Level::Err, &pieces);
        }
        if written.is_ok() { OK } else { ERROR }
    }
}

/// Writes a value to the out-parameters. The text of an error is for the log; without one, the
/// caller has been told all there is to tell.
///
/// # Safety
/// The pointers of `target` must be valid, the buffer for the size beside it.
unsafe fn write_value(found: &Found, target: &Target) -> Result<(), Option<String>> {
    let bytes = found.value.bytes;
    let bad = |what| {
        Some(fallible::text(format_args!("bad lua {what} value size found: {}", bytes.len())))
    };
    // SAFETY: the caller promises valid out-parameters, and a buffer of the size beside it; longer
    // values get memory of their own, and null is checked before a write.
    unsafe {
        if found.is_list {
            ffi::set_message(target.errmsg, c"value is a list");
            return Err(None);
        }
        *target.value_type = c_int::from(found.value.kind);
        match found.value.kind {
            STRING => {
                if *target.len < bytes.len() {
                    *target.buffer = libc::malloc(bytes.len()).cast();
                }
                if (*target.buffer).is_null() {
                    return Err(None);
                }
                copy_nonoverlapping(bytes.as_ptr(), *target.buffer, bytes.len());
            }
            NUMBER => {
                let number = bytes.try_into().map_err(|_| bad("number"))?;
                *target.number = f64::from_ne_bytes(number);
            }
            BOOLEAN => {
                let [truth] = bytes else { return Err(bad("boolean")) };
                if *target.len == 0 || (*target.buffer).is_null() {
                    return Err(None);
                }
                **target.buffer = *truth;
            }
            kind => return Err(Some(fallible::text(format_args!("bad value type found: {kind}")))),
        }
        *target.len = bytes.len();
    }
    Ok(())
}

/// Adds `*value` to a number; if there is none, and `has_init` is not 0, to `init`, and the new
/// entry lives `init_ttl` milliseconds (0 for ever). The sum replaces `*value`. `*forcible` becomes
/// 1 if other entries have been evicted, else 0. Returns 0, or -1 with a static text in `*err`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_incr(
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
    value: *mut f64,
    err: *mut *const c_char,
    has_init: c_int,
    init: f64,
    init_ttl: c_long,
    forcible: *mut c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string with its length, and its own out-parameters.
    unsafe {
        set(forcible, 0);
        let (dict, key) = match arguments(zone, key, key_len) {
            Ok(arguments) => arguments,
            Err(text) => return fail(err, text),
        };
        let Some(value) = value.as_mut() else { return ERROR };
        let initial = (has_init != 0).then_some(Initial { value: init, ttl: init_ttl });
        let outcome = store::increment(dict, key, *value, initial);
        match finish(outcome, err, forcible) {
            Ok(sum) => {
                *value = sum;
                OK
            }
            Err(_told) => ERROR,
        }
    }
}

/// Makes all entries expire. Returns 0.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_flush_all(zone: *mut ngx_shm_zone_t) -> c_int {
    // SAFETY: lua-resty-core passes what udata_to_zone has returned: null, or a zone of the VM's
    // cycle.
    let Some(dict) = (unsafe { Dict::from_ptr(zone) }) else { return ERROR };
    store::flush_all(dict);
    OK
}

/// Milliseconds that an entry has left to live: 0 for ever, below zero for one that has expired but
/// is still there. -5 if there is none.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(DECLINED.into())]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_get_ttl(
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
) -> c_long {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let Ok((dict, key)) = (unsafe { arguments(zone, key, key_len) }) else {
        return DECLINED.into();
    };
    let left = match store::expires(dict, key) {
        None => return DECLINED.into(),
        Some(NEVER) => return 0,
        Some(expires) => expires.wrapping_sub(super::now()) as c_long,
    };
    // 0 means for ever, and -5 means none: an entry that has expired just so long ago is reported
    // as one millisecond older.
    if left == 0 || left == DECLINED.into() { left - 1 } else { left }
}

/// Has an entry expire `exptime` milliseconds from now, 0 for never. Returns 0, or -5 if there is
/// no entry.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(DECLINED)]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_set_expire(
    zone: *mut ngx_shm_zone_t,
    key: *const u8,
    key_len: usize,
    exptime: c_long,
) -> c_int {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    match unsafe { arguments(zone, key, key_len) } {
        Ok((dict, key)) if store::set_ttl(dict, key, exptime) => OK,
        _ => DECLINED,
    }
}

/// The size of the zone, in bytes.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_capacity(zone: *mut ngx_shm_zone_t) -> usize {
    // SAFETY: lua-resty-core passes what udata_to_zone has returned: null, or a zone of the VM's
    // cycle.
    unsafe { Dict::from_ptr(zone) }.map_or(0, Dict::capacity)
}

/// How many bytes of the zone are in empty pages. Other pages may have free space too.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_shdict_free_space(zone: *mut ngx_shm_zone_t) -> usize {
    // SAFETY: lua-resty-core passes what udata_to_zone has returned: null, or a zone of the VM's
    // cycle.
    let Some(dict) = (unsafe { Dict::from_ptr(zone) }) else { return 0 };
    dict.lock().map_or(0, |dict| dict.free_space())
}

//! `ngx.shared`: a table of dictionaries, and the methods that are C functions for Lua.
//! lua-resty-core adds the others to the same metatable. `list::ffi` puts functions that go through
//! LuaJIT's FFI before those of lists.

use codec::fallible::{self, Shown};

use super::list::{self, ListError};
use super::store::{NUMBER, STRING};
use super::{MAX_KEY, ffi, whole};
use crate::api::call::{Row, set_functions};
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::core::shared_memory::{Dict, DictValue, TakenItem};

const METHODS: &[Row] = &[
    Row::anywhere(c"lpush", |state| push(state, true)),
    Row::anywhere(c"rpush", |state| push(state, false)),
    Row::anywhere(c"lpop", |state| pop(state, true)),
    Row::anywhere(c"rpop", |state| pop(state, false)),
    Row::anywhere(c"llen", llen),
    Row::anywhere(c"flush_expired", flush_expired),
    Row::anywhere(c"get_keys", keys),
];

/// How many methods the metatable has once lua-resty-core has added its own.
const METHOD_COUNT: i32 = 22;

/// How many keys `get_keys` returns if its argument does not say.
const DEFAULT_KEYS: i64 = 1024;

/// Puts `ngx.shared` into the `ngx` table on top: by name, tables `{zone}` with one metatable.
pub fn inject(mut state: State, dicts: &[Dict]) {
    state.new_table(0, dicts.len() as i32);
    if !dicts.is_empty() {
        // The address of each zone, by the userdata that holds it.
        state.new_table(0, dicts.len() as i32);
        state.new_table(0, METHOD_COUNT);
        set_functions(state, METHODS);
        state.push_value(-1);
        state.set_field(-2, c"__index");
        for dict in dicts {
            push_dict(state, *dict);
        }
        list::ffi::inject(state);
        state.pop(2);
    }
    state.set_field(-2, c"shared");
}

/// Adds a dictionary to `ngx.shared`, which lies below the table of zones and the metatable.
fn push_dict(mut state: State, dict: Dict) {
    state.push_bytes(dict.name());
    state.new_table(1, 0);
    ffi::push_zone(state, dict);
    state.push_value(-1);
    state.push_light_userdata(dict.as_ptr().cast());
    state.raw_set(-7);
    state.raw_set_index(-2, 1);
    state.push_value(-3);
    state.set_metatable(-2);
    state.raw_set(-5);
}

/// The dictionary whose table argument 1 is; `None` if it is none.
fn dict(mut state: State) -> Option<Dict> {
    if state.kind(1) != Kind::Table {
        return None;
    }
    state.raw_get_index(1, 1);
    let dict = ffi::zone_at(state, -1);
    state.pop(1);
    dict
}

/// The dictionary and the key of a list's method, which takes `count` arguments. The inner error is
/// a text for the method to return.
fn list_arguments(state: &State, count: i32) -> Result<(Dict, Result<&[u8], &str>), LuaError> {
    let n = state.top();
    if n != count {
        let text = format_args!("expecting {count} arguments, but only seen {n}");
        return Err(LuaError::text(text));
    }
    let dict = dict(*state).ok_or_else(|| LuaError::text("bad \"zone\" argument"))?;
    if state.kind(2) == Kind::Nil {
        return Ok((dict, Err("nil key")));
    }
    let key = match state.check_bytes(2)? {
        b"" => Err("empty key"),
        key if key.len() > MAX_KEY => Err("key too long"),
        key => Ok(key),
    };
    Ok((dict, key))
}

/// Returns `nil, text` to Lua.
fn fail(state: State, text: &str) -> LuaResult {
    state.push_nil();
    state.push_str(text);
    Ok(Returns::Values(2))
}

fn push(state: State, left: bool) -> LuaResult {
    let (dict, key) = list_arguments(&state, 3)?;
    let key = match key {
        Ok(key) => key,
        Err(text) => return fail(state, text),
    };
    let number;
    let value = match state.kind(3) {
        Kind::String => DictValue { kind: STRING, bytes: state.bytes(3).unwrap_or_default() },
        Kind::Number => {
            number = state.number(3).to_ne_bytes();
            DictValue { kind: NUMBER, bytes: &number }
        }
        _ => return fail(state, "bad value type"),
    };
    match list::push(dict, key, value, left) {
        Ok(len) => {
            state.push_number(len.into());
            Ok(Returns::Values(1))
        }
        Err(error @ ListError::NoMemoryForList) => {
            state.push_bool(false);
            state.push_str(error.text());
            Ok(Returns::Values(2))
        }
        Err(error) => fail(state, error.text()),
    }
}

fn pop(state: State, left: bool) -> LuaResult {
    let (dict, key) = list_arguments(&state, 2)?;
    let key = match key {
        Ok(key) => key,
        Err(text) => return fail(state, text),
    };
    let mut fits = true;
    let item = |item: DictValue| {
        let copy = TakenItem::of(item);
        fits = copy.is_ok();
        copy.ok()
    };
    match list::pop(dict, key, left, item) {
        Ok(None) if !fits => return fail(state, fallible::NO_MEMORY),
        Ok(None) => state.push_nil(),
        Ok(Some(item)) if item.kind == STRING => state.push_bytes(item.bytes()),
        Ok(Some(item)) => match (item.kind, <[u8; 8]>::try_from(item.bytes())) {
            (NUMBER, Ok(number)) => state.push_number(f64::from_ne_bytes(number)),
            (kind, _) => return Err(bad_item(dict, key, kind)),
        },
        Err(error) => return fail(state, error.text()),
    }
    Ok(Returns::Values(1))
}

fn bad_item(dict: Dict, key: &[u8], kind: u8) -> LuaError {
    LuaError::text(format_args!(
        "bad list node value type found for key {} in shared_dict {}: {kind}",
        Shown(key),
        Shown(dict.name()),
    ))
}

fn llen(state: State) -> LuaResult {
    let (dict, key) = list_arguments(&state, 2)?;
    match key.map(|key| list::len(dict, key)) {
        Ok(Ok(len)) => {
            state.push_number(len.into());
            Ok(Returns::Values(1))
        }
        Ok(Err(error)) => fail(state, error.text()),
        Err(text) => fail(state, text),
    }
}

/// The arguments of `flush_expired` and `get_keys`: the dictionary, and how many entries (0: all).
fn dict_and_count(state: State, default: i64) -> Result<(Dict, usize), LuaError> {
    let n = state.top();
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!("expecting 1 or 2 argument(s), but saw {n}")));
    }
    state.check_kind(1, Kind::Table, c"table")?;
    let dict = dict(state)
        .ok_or_else(|| LuaError::text("bad user data for the ngx_shm_zone_t pointer"))?;
    let count = if n == 2 { state.check_integer(2)? } else { default };
    // A negative count means no limit, as 0 does: so it is in the C module.
    Ok((dict, usize::try_from(count).unwrap_or(0)))
}

fn flush_expired(state: State) -> LuaResult {
    let (dict, max) = dict_and_count(state, 0)?;
    state.push_number(whole::flush_expired(dict, max)? as f64);
    Ok(Returns::Values(1))
}

fn keys(mut state: State) -> LuaResult {
    let (dict, max) = dict_and_count(state, DEFAULT_KEYS)?;
    state.new_table(i32::try_from(max).unwrap_or(0).min(DEFAULT_KEYS as i32), 0);
    let mut n = 0;
    let add = |key: &[u8]| {
        n += 1;
        state.push_bytes(key);
        state.raw_set_index(-2, n);
    };
    match max {
        0 => whole::all_keys(dict, add)?,
        max => whole::oldest_keys(dict, max, add)?,
    }
    Ok(Returns::Values(1))
}

//! Lua values as bytes: what `ngx.say`, `ngx.log` and captured bodies accept and how it is spelt.

use crate::lua::{Kind, LuaError, State};

/// The length of arguments 1 to `count` together, where all of them are strings.
pub fn strings_len(state: State, count: i32) -> Option<usize> {
    let mut len = 0;
    for index in 1..=count {
        if state.kind(index) != Kind::String {
            return None;
        }
        len += state.raw_len(index);
    }
    Some(len)
}

/// Appends what `ngx.print` makes of argument `index`.
pub fn append_argument(state: State, index: i32, out: &mut Vec<u8>) -> Result<(), LuaError> {
    match state.kind(index) {
        Kind::Table => append_table(state, index, index, false, out),
        Kind::Nil => {
            out.extend_from_slice(b"nil");
            Ok(())
        }
        Kind::Boolean => {
            append_boolean(state, index, out);
            Ok(())
        }
        Kind::LightUserdata if state.userdata(index).is_null() => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        Kind::LightUserdata => Ok(()),
        Kind::Number | Kind::String => append_scalar(state, index, out),
        kind => Err(LuaError::argument(
            index,
            format!(
                "string, number, boolean, nil, ngx.null, or array table expected, but got {}",
                kind.name()
            ),
        )),
    }
}

fn append_boolean(state: State, index: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(if state.boolean(index) { b"true" } else { b"false" });
}

/// A string, or a number in Lua's own spelling. The value stays what it is.
fn append_scalar(state: State, index: i32, out: &mut Vec<u8>) -> Result<(), LuaError> {
    if state.kind(index) == Kind::String {
        out.extend_from_slice(state.bytes(index).unwrap_or_default());
        return Ok(());
    }
    append_number(state, index, out);
    Ok(())
}

/// A number as `tostring` spells it.
pub fn append_number(state: State, index: i32, out: &mut Vec<u8>) {
    let number = state.number(index);
    let integer = number as i64;
    let exact = integer as f64 == number && integer.unsigned_abs() < 100_000_000_000_000;
    if exact && !(number == 0.0 && number.is_sign_negative()) {
        use std::io::Write;
        let mut digits = [0u8; 24];
        let mut cursor = std::io::Cursor::new(&mut digits[..]);
        if write!(cursor, "{integer}").is_ok() {
            let len = cursor.position() as usize;
            out.extend_from_slice(digits.get(..len).unwrap_or_default());
        }
        return;
    }
    state.push_value(index);
    out.extend_from_slice(state.bytes(-1).unwrap_or_default());
    state.pop(1);
}

/// The items of the array table in argument `index`, nested ones too: strings and numbers only.
pub fn append_strict_table(state: State, index: i32, out: &mut Vec<u8>) -> Result<(), LuaError> {
    append_table(state, index, index, true, out)
}

/// The items of an array table, nested ones too; `argument` is blamed for what does not fit.
fn append_table(
    state: State,
    table: i32,
    argument: i32,
    strict: bool,
    out: &mut Vec<u8>,
) -> Result<(), LuaError> {
    let table = if table < 0 { state.top() + table + 1 } else { table };
    state.reserve(4)?;
    let length = array_length(state, table, argument)?;
    for n in 1..=length {
        state.raw_get_index(table, n);
        append_item(state, argument, strict, out)?;
        state.pop(1);
    }
    Ok(())
}

/// The highest index of a table whose keys are all positive integers.
fn array_length(state: State, table: i32, argument: i32) -> Result<i32, LuaError> {
    let mut length = 0;
    state.push_nil();
    while state.next(table) {
        state.pop(1);
        let key = state.number(-1);
        if state.kind(-1) != Kind::Number || key.floor() != key || key < 1.0 {
            return Err(LuaError::argument(argument, "non-array table found"));
        }
        length = length.max(key as i32);
    }
    Ok(length)
}

fn append_item(
    state: State,
    argument: i32,
    strict: bool,
    out: &mut Vec<u8>,
) -> Result<(), LuaError> {
    let bad =
        |kind: Kind| LuaError::argument(argument, format!("bad data type {} found", kind.name()));
    match state.kind(-1) {
        Kind::Number | Kind::String => append_scalar(state, -1, out),
        Kind::Table => append_table(state, -1, argument, strict, out),
        kind if strict => Err(bad(kind)),
        Kind::Nil => {
            out.extend_from_slice(b"nil");
            Ok(())
        }
        Kind::Boolean => {
            append_boolean(state, -1, out);
            Ok(())
        }
        Kind::LightUserdata if state.userdata(-1).is_null() => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        kind => Err(bad(kind)),
    }
}

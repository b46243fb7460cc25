//! Lua values as bytes: which values `ngx.say`, `ngx.log`, `ngx.arg` and the `send` of cosockets
//! accept, and how they are spelt.

use codec::fallible::{Grow, OutOfMemory};
use smallvec::{Array, SmallVec};

use crate::lua::{Kind, LuaError, State, TableAt};
use crate::nginx::core::buf::OwnBuf;
use crate::nginx::core::log::Line;

/// Where the bytes go.
pub trait Output {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory>;
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.try_append(bytes)
    }
}

impl<A: Array<Item = u8>> Output for SmallVec<A> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.try_append(bytes)
    }
}

/// A buffer with space for the bytes.
impl Output for OwnBuf {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.write(bytes);
        Ok(())
    }
}

/// A line for the log, cut where nginx would cut it.
impl Output for Line {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.append(bytes);
        Ok(())
    }
}

/// No integer of [`exact_integer`] has more bytes.
const INTEGER_CAPACITY: usize = 16;

/// The most bytes that [`append_scalar`] makes of argument `index`; `None` if it is not one of
/// those that [`append_scalar`] takes.
///
/// A number that Lua has to spell becomes a string here: that may run finalizers, which may print
/// as well, so it must not come while a buffer is filled.
pub fn scalar_capacity(state: State, index: i32) -> Option<usize> {
    Some(match state.kind(index) {
        Kind::String => state.raw_len(index),
        Kind::Number if exact_integer(state.number(index)).is_some() => INTEGER_CAPACITY,
        Kind::Number => state.bytes(index).map_or(0, <[u8]>::len),
        Kind::Boolean => boolean(state, index).len(),
        Kind::Nil => b"nil".len(),
        Kind::LightUserdata if state.userdata(index).is_null() => b"null".len(),
        Kind::LightUserdata => 0,
        _ => return None,
    })
}

fn boolean(state: State, index: i32) -> &'static [u8] {
    if state.boolean(index) { b"true" } else { b"false" }
}

/// Appends what `ngx.print` makes of a value that is no table; nothing for a value that it does not
/// take.
pub fn append_scalar(state: State, index: i32, out: &mut impl Output) -> Result<(), OutOfMemory> {
    match state.kind(index) {
        Kind::String => out.put(state.bytes(index).unwrap_or_default()),
        Kind::Number => append_number(state, index, out),
        Kind::Boolean => out.put(boolean(state, index)),
        Kind::Nil => out.put(b"nil"),
        Kind::LightUserdata if state.userdata(index).is_null() => out.put(b"null"),
        _ => Ok(()),
    }
}

/// Appends what `ngx.print` makes of argument `index`.
pub fn append_argument(state: State, index: i32, out: &mut impl Output) -> Result<(), LuaError> {
    match state.kind(index) {
        Kind::Table => append_table(state, index, index, false, out),
        Kind::Nil | Kind::Boolean | Kind::LightUserdata | Kind::Number | Kind::String => {
            Ok(append_scalar(state, index, out)?)
        }
        kind => Err(LuaError::argument(
            index,
            format_args!(
                "string, number, boolean, nil, ngx.null, or array table expected, but got {}",
                kind.name()
            ),
        )),
    }
}

/// The integer that the number is, if `tostring` spells it with all its digits.
fn exact_integer(number: f64) -> Option<i64> {
    let integer = number as i64;
    let exact = integer as f64 == number && integer.unsigned_abs() < 100_000_000_000_000;
    (exact && !(number == 0.0 && number.is_sign_negative())).then_some(integer)
}

/// A number as `tostring` spells it. The value stays what it is.
pub fn append_number(
    mut state: State,
    index: i32,
    out: &mut impl Output,
) -> Result<(), OutOfMemory> {
    if let Some(integer) = exact_integer(state.number(index)) {
        return out.put(itoa::Buffer::new().format(integer).as_bytes());
    }
    state.push_value(index);
    let put = out.put(state.bytes(-1).unwrap_or_default());
    state.pop(1);
    put
}

/// The items of the array table in argument `index`, nested ones too: strings and numbers only.
pub fn append_strict_table(state: State, index: i32, out: &mut Vec<u8>) -> Result<(), LuaError> {
    append_table(state, index, index, true, out)
}

/// The items of an array table, nested ones too. An error about an item names `argument`.
fn append_table(
    mut state: State,
    table: i32,
    argument: i32,
    strict: bool,
    out: &mut impl Output,
) -> Result<(), LuaError> {
    let table = state.table_at(table);
    state.reserve(4)?;
    let length = array_length(state, table, argument)?;
    for n in 1..=length {
        state.raw_get_item(table, n);
        append_item(state, argument, strict, out)?;
        state.pop(1);
    }
    Ok(())
}

/// The highest index that any array table may have. Holes are written as `nil`, and a few elements
/// must not become gigabytes.
const MAX_INDEX: f64 = 1_000_000.0;
/// An index above that is allowed if it is at most this many times the number of elements.
const MAX_SPREAD: f64 = 10.0;

/// The highest index of a table, whose keys must all be positive integers and not too sparse. An
/// error names `argument`.
fn array_length(mut state: State, table: TableAt, argument: i32) -> Result<i32, LuaError> {
    let (mut length, mut elements) = (0.0f64, 0.0);
    state.push_nil();
    while state.next(table) {
        state.pop(1);
        let key = state.number(-1);
        if state.kind(-1) != Kind::Number || key.floor() != key || key < 1.0 {
            return Err(LuaError::argument(argument, "non-array table found"));
        }
        length = length.max(key);
        elements += 1.0;
    }
    if length > MAX_INDEX && length > elements * MAX_SPREAD || length > f64::from(i32::MAX) {
        return Err(LuaError::argument(
            argument,
            format_args!("too sparse array table found: {elements} elements, the last at {length}"),
        ));
    }
    Ok(length as i32)
}

/// Appends the item on top of the stack. With `strict`, only strings, numbers and tables of them
/// are accepted.
fn append_item(
    state: State,
    argument: i32,
    strict: bool,
    out: &mut impl Output,
) -> Result<(), LuaError> {
    let bad = |kind: Kind| {
        LuaError::argument(argument, format_args!("bad data type {} found", kind.name()))
    };
    match state.kind(-1) {
        Kind::Table => append_table(state, -1, argument, strict, out),
        Kind::Number | Kind::String => Ok(append_scalar(state, -1, out)?),
        Kind::Nil | Kind::Boolean if !strict => Ok(append_scalar(state, -1, out)?),
        Kind::LightUserdata if !strict && state.userdata(-1).is_null() => {
            Ok(append_scalar(state, -1, out)?)
        }
        kind => Err(bad(kind)),
    }
}

//! A Lua table as a query string: the `args` of `ngx.exec`, `ngx.location.capture` and
//! `ngx.encode_args`.

use codec::args::{BadValue, Encoder, NON_STRING_KEY};

use crate::lua::{Kind, LuaError, State};

/// The table at `table` as `name=value&…`; lists of values repeat their name.
pub fn encode(mut state: State, table: i32) -> Result<Vec<u8>, LuaError> {
    let mut encoder = Encoder::new();
    state.reserve(6)?;
    let walk = state.walk(table);
    while state.next(walk) {
        if state.kind(-2) != Kind::String {
            return Err(LuaError::text(NON_STRING_KEY));
        }
        let name = state.top() - 1;
        if state.kind(-1) == Kind::Table {
            // All its values, whatever their keys are, not only those of a list.
            let walk = state.walk(-1);
            while state.next(walk) {
                encode_value(state, name, &mut encoder)?;
                state.pop(1);
            }
        } else {
            encode_value(state, name, &mut encoder)?;
        }
        state.pop(1);
    }
    Ok(encoder.into_bytes())
}

/// The value on top, with the string at `name`: true is a bare name, false nothing.
fn encode_value(mut state: State, name: i32, encoder: &mut Encoder) -> Result<(), LuaError> {
    let name = state.bytes(name).unwrap_or_default();
    match state.kind(-1) {
        Kind::String => encoder.pair(name, Some(state.bytes(-1).unwrap_or_default()))?,
        Kind::Number => {
            // A copy, so that a number in a table stays one.
            state.push_value(-1);
            encoder.pair(name, Some(state.bytes(-1).unwrap_or_default()))?;
            state.pop(1);
        }
        Kind::Boolean if state.boolean(-1) => encoder.pair(name, None)?,
        Kind::Boolean => {}
        kind => return Err(LuaError::text(format_args!("{}", BadValue(kind.name())))),
    }
    Ok(())
}

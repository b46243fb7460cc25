//! Copies values from one VM to another.

use crate::lua::{Kind, State};

/// How deeply tables may be nested.
const MAX_DEPTH: u32 = 100;

/// The error if a stack has no space for a copy.
pub const STACK_OVERFLOW: &str = "stack overflow";

/// Pushes a copy of the value at `index` onto the stack of another VM.
///
/// An error names what cannot be copied; both stacks then keep the values of the unfinished copy.
pub fn value(from: State, index: i32, to: State) -> Result<(), &'static str> {
    nested(from, index, to, 1)
}

fn nested(from: State, index: i32, to: State, depth: u32) -> Result<(), &'static str> {
    match from.kind(index) {
        Kind::Nil => to.push_nil(),
        Kind::Boolean => to.push_bool(from.boolean(index)),
        Kind::LightUserdata => to.push_light_userdata(from.userdata(index)),
        Kind::Number => to.push_number(from.number(index)),
        Kind::String => to.push_bytes(from.bytes(index).unwrap_or_default()),
        Kind::Table => return table(from, index, to, depth),
        Kind::Function => return Err("unsupported Lua type: LUA_TFUNCTION"),
        Kind::Userdata => return Err("unsupported Lua type: LUA_TUSERDATA"),
        Kind::Thread => return Err("unsupported Lua type: LUA_TTHREAD"),
        Kind::None | Kind::Cdata => return Err("unsupported Lua type"),
    }
    Ok(())
}

fn table(mut from: State, index: i32, mut to: State, depth: u32) -> Result<(), &'static str> {
    if depth >= MAX_DEPTH {
        return Err("suspicious circular references, table depth exceed max depth: 100");
    }
    if from.reserve(3).is_err() || to.reserve(4).is_err() {
        return Err(STACK_OVERFLOW);
    }
    to.new_table(0, 0);
    let walk = from.walk(index);
    while from.next(walk) {
        nested(from, -2, to, depth + 1)?;
        nested(from, -1, to, depth + 1)?;
        to.raw_set(-3);
        from.pop(1);
    }
    Ok(())
}

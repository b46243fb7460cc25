//! Tables of named values, in which a name may come more than once.

use crate::lua::{Kind, State};

/// Adds the value that `push` pushes to the table at the absolute index `table`, under `name`; if
/// that is there already, its values form a list. Takes up to three slots of the stack.
pub fn add(mut state: State, table: i32, name: &[u8], push: impl Fn(State)) {
    state.push_bytes(name);
    state.push_value(-1);
    state.raw_get(table);
    match state.kind(-1) {
        Kind::Nil => {
            state.pop(1);
            push(state);
            state.raw_set(table);
        }
        Kind::Table => {
            let next = state.raw_len(-1) as i32 + 1;
            push(state);
            state.raw_set_index(-2, next);
            state.pop(2);
        }
        _ => {
            state.new_table(4, 0);
            state.insert(-2);
            state.raw_set_index(-2, 1);
            push(state);
            state.raw_set_index(-2, 2);
            state.raw_set(table);
        }
    }
}

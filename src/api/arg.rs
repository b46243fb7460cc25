//! `ngx.arg`: the table that lua-resty-core gives its reading side, by phase.

use crate::lua::State;

/// Puts the table, with its metatable, into the `ngx` table on top.
pub fn inject(state: State) {
    state.new_table(0, 0);
    state.new_table(0, 2);
    state.set_metatable(-2);
    state.set_field(-2, c"arg");
}

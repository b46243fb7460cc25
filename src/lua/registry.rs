//! The values that this module keeps in a VM's registry. Their keys are negative, because those of
//! `luaL_ref` are not.

use super::function::{CFunction, wrap};
use super::inspect::add_traceback;
use super::openresty;
use super::state::{REGISTRY, State};

/// The function behind [`State::produce`].
pub(super) const PROTECTED: i32 = -100;
/// [`add_traceback`].
pub(super) const TRACEBACK: i32 = -99;
/// The function behind [`State::error_text`].
pub(super) const ERROR_TEXT: i32 = -98;
/// The function that makes the table of a captured response.
pub const CAPTURED_RESPONSE: i32 = -101;
/// Metatables: of TCP cosockets, and of the userdata in them.
pub const TCP_METATABLE: i32 = -102;
pub const TCP_OWNER_METATABLE: i32 = -103;
pub const TCP_PATTERN_METATABLE: i32 = -104;
pub const TCP_POOLS_METATABLE: i32 = -105;
/// Of UDP cosockets, and of the userdata in them.
pub const UDP_METATABLE: i32 = -106;
pub const UDP_OWNER_METATABLE: i32 = -107;

/// The tasks of coroutines, where LuaJIT itself does not keep them.
#[cfg(not(openresty_luajit))]
pub(super) const TASKS: i32 = -109;
/// The string "no memory", which takes none.
pub const NO_MEMORY: i32 = -108;

/// Adds what every VM needs; raises without memory.
pub(super) fn fill(mut state: State, run_protected: CFunction) {
    for (key, function) in [(PROTECTED, run_protected), (TRACEBACK, wrap(add_traceback))] {
        state.push_function(function);
        state.raw_set_index(REGISTRY, key);
    }
    state.push_str(codec::fallible::NO_MEMORY);
    state.raw_set_index(REGISTRY, NO_MEMORY);
    openresty::prepare(state);
    spread_references(state);
}

/// Makes the registry's array part large enough for the references in use: it is faster than the
/// hash part.
fn spread_references(mut state: State) {
    let references: [i32; 64] = std::array::from_fn(|_| {
        state.push_bool(true);
        state.new_ref(REGISTRY)
    });
    for reference in references.into_iter().rev() {
        state.unref(REGISTRY, reference);
    }
}

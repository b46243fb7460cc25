//! The values that this module keeps in a VM's registry under fixed keys.

use super::function::{CFunction, wrap};
use super::inspect::add_traceback;
use super::openresty;
use super::reference::Anchor;
use super::state::{REGISTRY, State};

/// The key of such a value: a small number, which the registry has in its array part. [`fill`] takes these numbers
/// before `luaL_ref` gives any.
#[derive(Clone, Copy)]
pub struct RegistryKey(i32);

/// The largest of them.
const LAST: i32 = 17;

/// The function behind [`State::produce`].
pub(super) const PROTECTED: RegistryKey = RegistryKey(1);
/// [`add_traceback`].
pub(super) const TRACEBACK: RegistryKey = RegistryKey(2);
/// The function behind [`State::error_text`].
pub(super) const ERROR_TEXT: RegistryKey = RegistryKey(3);
/// The function that makes the table of a captured response.
pub const CAPTURED_RESPONSE: RegistryKey = RegistryKey(4);
/// Metatables: of TCP cosockets, and of the userdata in them.
pub const TCP_METATABLE: RegistryKey = RegistryKey(5);
pub const TCP_OWNER_METATABLE: RegistryKey = RegistryKey(6);
/// The function of `lua/socket_tcp.lua` that has a cosocket use what that file has.
pub const TCP_FACE: RegistryKey = RegistryKey(7);
/// Metatables: of the userdata behind `receiveuntil`, and of the one that ends the pools of
/// connections.
pub const TCP_PATTERN_METATABLE: RegistryKey = RegistryKey(8);
pub const TCP_POOLS_METATABLE: RegistryKey = RegistryKey(9);
/// Metatables: of UDP cosockets, and of the userdata in them.
pub const UDP_METATABLE: RegistryKey = RegistryKey(10);
pub const UDP_OWNER_METATABLE: RegistryKey = RegistryKey(11);
/// The function of `lua/require.lua` that lets `lua/code_watch.lua` know of modules.
pub const REQUIRE_HOOK: RegistryKey = RegistryKey(12);
/// The metatable of the userdata behind `string.gsub`.
pub const SUBSTITUTION_METATABLE: RegistryKey = RegistryKey(13);

/// The tasks of coroutines, where LuaJIT itself does not keep them.
#[cfg(not(openresty_luajit))]
pub(super) const TASKS: RegistryKey = RegistryKey(14);
/// The string "no memory": it is made in advance, because a new one would take memory.
pub const NO_MEMORY: RegistryKey = RegistryKey(15);
/// The string "stack overflow", likewise.
pub const STACK_OVERFLOW: RegistryKey = RegistryKey(16);
/// The error of code that `lua_max_slice` has ended, likewise.
pub const SLICE_ENDED: RegistryKey = RegistryKey(17);

impl State {
    /// Pushes the registry's value of that key.
    #[inline(always)]
    pub fn push_registered(self, key: RegistryKey) {
        self.raw_get_index(REGISTRY, key.0);
    }

    /// Pops the value on top, and stores it in the registry; raises without memory.
    pub fn register(&mut self, key: RegistryKey) {
        self.raw_set_index(REGISTRY, key.0);
    }
}

/// Adds what every VM needs; raises without memory.
pub(super) fn fill(mut state: State, run_protected: CFunction) {
    debug_assert_eq!(state.raw_len(REGISTRY), 0, "nobody has a number of `luaL_ref`");
    for number in 1..=LAST {
        // Not nil: `luaL_ref` would take the number for one that nobody has.
        state.push_bool(false);
        state.register(RegistryKey(number));
    }
    for (key, function) in [(PROTECTED, run_protected), (TRACEBACK, wrap(add_traceback))] {
        state.push_function(function);
        state.register(key);
    }
    state.push_str(codec::fallible::NO_MEMORY);
    state.register(NO_MEMORY);
    state.push_str("stack overflow");
    state.register(STACK_OVERFLOW);
    state.push_str(super::interrupt::ERROR);
    state.register(SLICE_ENDED);
    openresty::prepare(state);
    spread_references(state);
}

/// Makes the registry's array part large enough for the references in use: it is faster than the
/// hash part.
fn spread_references(mut state: State) {
    let anchors: [Anchor; 64] = std::array::from_fn(|_| {
        state.push_value(REGISTRY);
        state.anchor()
    });
    for anchor in anchors.into_iter().rev() {
        state.release(anchor);
    }
}

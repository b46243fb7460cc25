//! The values that this module keeps in a VM's registry under fixed keys.

use super::function::{CFunction, wrap};
use super::inspect::add_traceback;
use super::openresty;
use super::reference::Anchor;
use super::state::{REGISTRY, State};

/// The key of such a value: negative, because the numbers of `luaL_ref` are not.
#[derive(Clone, Copy)]
pub struct RegistryKey(i32);

/// The function behind [`State::produce`].
pub(super) const PROTECTED: RegistryKey = RegistryKey(-100);
/// [`add_traceback`].
pub(super) const TRACEBACK: RegistryKey = RegistryKey(-99);
/// The function behind [`State::error_text`].
pub(super) const ERROR_TEXT: RegistryKey = RegistryKey(-98);
/// The function that makes the table of a captured response.
pub const CAPTURED_RESPONSE: RegistryKey = RegistryKey(-101);
/// Metatables: of TCP cosockets, and of the userdata in them.
pub const TCP_METATABLE: RegistryKey = RegistryKey(-102);
pub const TCP_OWNER_METATABLE: RegistryKey = RegistryKey(-103);
/// The function of `lua/socket_tcp.lua` that has a cosocket use what that file has.
pub const TCP_FACE: RegistryKey = RegistryKey(-114);
/// Metatables: of the userdata behind `receiveuntil`, and of the one that ends the pools of
/// connections.
pub const TCP_PATTERN_METATABLE: RegistryKey = RegistryKey(-104);
pub const TCP_POOLS_METATABLE: RegistryKey = RegistryKey(-105);
/// Metatables: of UDP cosockets, and of the userdata in them.
pub const UDP_METATABLE: RegistryKey = RegistryKey(-106);
pub const UDP_OWNER_METATABLE: RegistryKey = RegistryKey(-107);
/// The function of `lua/require.lua` that lets `lua/code_watch.lua` know of modules.
pub const REQUIRE_HOOK: RegistryKey = RegistryKey(-110);
/// The metatable of the userdata behind `string.gsub`.
pub const SUBSTITUTION_METATABLE: RegistryKey = RegistryKey(-111);

/// The tasks of coroutines, where LuaJIT itself does not keep them.
#[cfg(not(openresty_luajit))]
pub(super) const TASKS: RegistryKey = RegistryKey(-109);
/// The string "no memory": it is made in advance, because a new one would take memory.
pub const NO_MEMORY: RegistryKey = RegistryKey(-108);
/// The string "stack overflow", likewise.
pub const STACK_OVERFLOW: RegistryKey = RegistryKey(-112);
/// The error of code that `lua_max_slice` has ended, likewise.
pub const SLICE_ENDED: RegistryKey = RegistryKey(-113);

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

//! What the scheduler and the coroutine functions need of a Lua coroutine besides its stack.

use mlua::ffi;

use super::state::State;

impl State {
    /// Whether an error ended this coroutine.
    pub fn has_failed(self) -> bool {
        // SAFETY: a live state.
        !matches!(unsafe { ffi::lua_status(self.as_ptr()) }, 0 | ffi::LUA_YIELD)
    }

    /// Whether the value at `index` is a function written in Lua.
    pub fn is_lua_function(self, index: i32) -> bool {
        // SAFETY: any index is fine.
        unsafe {
            ffi::lua_type(self.as_ptr(), index) == ffi::LUA_TFUNCTION
                && ffi::lua_iscfunction(self.as_ptr(), index) == 0
        }
    }
}

//! What the scheduler and the coroutine functions need of a Lua coroutine besides its stack.

use mlua::ffi;

use super::LuaError;
use super::state::State;
use super::sys::lua_isyieldable;

impl State {
    /// Fails with Lua's own error if the running code cannot yield: across a C call, or on the main
    /// coroutine.
    ///
    /// Functions that yield call this first, so that they have not started anything when it fails.
    pub fn check_yieldable(self) -> Result<(), LuaError> {
        // SAFETY: a live state.
        if unsafe { lua_isyieldable(self.as_ptr()) } != 0 {
            return Ok(());
        }
        self.push_str("attempt to yield across C-call boundary");
        Err(LuaError::OnStack)
    }

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

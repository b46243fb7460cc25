//! What the scheduler and the coroutine functions need of a Lua coroutine besides its stack.

use mlua::ffi;

use super::state::State;

impl State {
    /// Whether an error ended this coroutine.
    pub fn has_failed(self) -> bool {
        // SAFETY: a live state.
        !matches!(unsafe { ffi::lua_status(self.as_ptr()) }, 0 | ffi::LUA_YIELD)
    }

    /// Whether this coroutine, which is not running, has ended by itself or has not been started.
    pub(super) fn is_idle(self) -> bool {
        // SAFETY: a live state.
        unsafe { ffi::lua_status(self.as_ptr()) == ffi::LUA_OK }
    }

    /// Whether this coroutine has yielded, and has not been resumed since.
    #[inline(always)]
    pub fn has_yielded(self) -> bool {
        // SAFETY: a live state.
        unsafe { ffi::lua_status(self.as_ptr()) == ffi::LUA_YIELD }
    }

    /// Whether this coroutine, which is not running, has a function to start, or waits after a yield.
    #[inline(always)]
    pub fn can_be_resumed(self) -> bool {
        if self.is_idle() { self.top() > 0 } else { self.has_yielded() }
    }

    /// Whether a function of this coroutine's is running, and not only waiting after a yield.
    pub(super) fn is_running(self) -> bool {
        // SAFETY: a live state; lua_getstack fills the record.
        unsafe {
            let mut frame: ffi::lua_Debug = std::mem::zeroed();
            ffi::lua_status(self.as_ptr()) == ffi::LUA_OK
                && ffi::lua_getstack(self.as_ptr(), 0, &mut frame) > 0
        }
    }

    /// Whether this coroutine, which waits, cannot be resumed: LuaJIT has forgotten that it waits, which is what
    /// it does where a stack cannot be made larger.
    pub fn has_lost_wait(self) -> bool {
        self.is_running()
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

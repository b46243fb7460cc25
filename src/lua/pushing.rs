//! Pushing values onto a Lua stack. Each may raise "not enough memory", and LuaJIT makes the stack larger
//! where it must.

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::function::CFunction;
use super::openresty;
use super::state::State;

impl State {
    pub fn push_nil(self) {
        // SAFETY: LuaJIT makes space for one more value where it must.
        unsafe { ffi::lua_pushnil(self.as_ptr()) }
    }

    pub fn push_bool(self, value: bool) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushboolean(self.as_ptr(), c_int::from(value)) }
    }

    pub fn push_integer(self, value: i64) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushinteger(self.as_ptr(), value as _) }
    }

    pub fn push_number(self, value: f64) {
        // SAFETY: as above.
        unsafe { ffi::lua_pushnumber(self.as_ptr(), value) }
    }

    pub fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: as above; Lua copies the bytes.
        unsafe {
            ffi::lua_pushlstring_(self.as_ptr(), bytes.as_ptr().cast(), bytes.len());
        }
    }

    pub fn push_str(self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub fn push_light_userdata(self, data: *mut c_void) {
        // SAFETY: as above; Lua never follows the pointer.
        unsafe { ffi::lua_pushlightuserdata(self.as_ptr(), data) }
    }

    pub fn push_function(self, function: CFunction) {
        self.push_closure(function, 0);
    }

    /// A C function with the top `upvalues` values as its upvalues (popped).
    pub fn push_closure(self, function: CFunction, upvalues: i32) {
        // SAFETY: as above; a function that Lua may call, with that many values on the stack.
        unsafe { ffi::lua_pushcclosure(self.as_ptr(), function.raw(), self.held(upvalues)) }
    }

    /// Pushes the coroutine that this is.
    pub fn push_thread(self) {
        // SAFETY: a live state, with space for one more value.
        unsafe { ffi::lua_pushthread(self.as_ptr()) };
    }

    /// Pushes a new coroutine.
    pub fn new_thread(self) -> State {
        // SAFETY: as above; Lua raises an error where it cannot make one.
        let thread = unsafe { State::from_ptr(ffi::lua_newthread(self.as_ptr())) };
        openresty::add_thread(self);
        thread
    }

    /// Pushes a new table with a capacity of `array` and `hash` entries.
    pub fn new_table(self, array: i32, hash: i32) {
        // SAFETY: as above.
        unsafe { ffi::lua_createtable(self.as_ptr(), array, hash) }
    }

    /// Pushes a new userdata of `size` bytes; Lua owns it.
    pub fn new_userdata(self, size: usize) -> *mut c_void {
        // SAFETY: as above.
        unsafe { ffi::lua_newuserdata(self.as_ptr(), size) }
    }
}

//! Tables on a Lua stack, their metatables, and references in them.

use std::ffi::CStr;

use mlua::ffi;

use super::state::State;

impl State {
    /// Pushes `t[name]` (metamethods may run).
    pub fn get_field(self, table: i32, name: &CStr) {
        // SAFETY: a valid index to something that can be indexed.
        unsafe {
            ffi::lua_getfield_(self.as_ptr(), table, name.as_ptr());
        }
    }

    /// `t[name] = top`, and pops it (metamethods may run).
    pub fn set_field(&mut self, table: i32, name: &CStr) {
        // SAFETY: a valid index to something that can be indexed.
        unsafe { ffi::lua_setfield(self.as_ptr(), table, name.as_ptr()) }
    }

    /// Replaces the key on top by `t[key]`, raw.
    pub fn raw_get(&mut self, table: i32) {
        // SAFETY: a valid index to a table.
        unsafe {
            ffi::lua_rawget_(self.as_ptr(), table);
        }
    }

    /// `t[key] = value` with both on top (popped), raw.
    pub fn raw_set(&mut self, table: i32) {
        // SAFETY: a valid index to a table.
        unsafe { ffi::lua_rawset(self.as_ptr(), table) }
    }

    /// Pushes `t[n]`, raw.
    pub fn raw_get_index(self, table: i32, n: i32) {
        // SAFETY: a valid index to a table.
        unsafe {
            ffi::lua_rawgeti_(self.as_ptr(), table, n as _);
        }
    }

    /// `t[n] = top`, and pops it, raw.
    pub fn raw_set_index(&mut self, table: i32, n: i32) {
        // SAFETY: a valid index to a table.
        unsafe { ffi::lua_rawseti_(self.as_ptr(), table, n as _) }
    }

    /// Replaces the key on top by the next key and value; false at the end (key popped).
    pub fn next(&mut self, table: i32) -> bool {
        // SAFETY: a valid index to a table, a key of it on top.
        unsafe { ffi::lua_next(self.as_ptr(), table) != 0 }
    }

    pub fn set_metatable(&mut self, index: i32) {
        // SAFETY: a valid index; a table or nil on top.
        unsafe {
            ffi::lua_setmetatable(self.as_ptr(), index);
        }
    }

    /// Pops the value on top and gives it a number in `table`.
    pub fn new_ref(&mut self, table: i32) -> i32 {
        // SAFETY: a valid index to a table, a value on top.
        unsafe { ffi::luaL_ref(self.as_ptr(), table) }
    }

    pub fn unref(self, table: i32, reference: i32) {
        // SAFETY: a valid index to a table; luaL_unref ignores negative numbers.
        unsafe { ffi::luaL_unref(self.as_ptr(), table, reference) }
    }

    /// Calls the metamethod `name` of the value at `index` and pushes its result; false if there is
    /// none. Only from a function that Lua called.
    pub fn call_metamethod(self, index: i32, name: &CStr) -> bool {
        // SAFETY: a valid index; may raise.
        unsafe { ffi::luaL_callmeta(self.as_ptr(), index, name.as_ptr()) != 0 }
    }
}

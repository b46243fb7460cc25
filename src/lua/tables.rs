//! Tables on a Lua stack, their metatables, and references in them.

use std::ffi::CStr;

use mlua::ffi;

use super::error::LuaError;
use super::kind::Kind;
use super::state::{REGISTRY, State};

/// A table, which has this index as long as the value is used: so its type is checked once.
#[derive(Clone, Copy)]
pub struct TableAt(i32);

impl State {
    /// Pushes `t[name]` (metamethods may run).
    pub fn get_field(self, table: i32, name: &CStr) {
        // SAFETY: a checked index. For what cannot be indexed, Lua raises an error.
        unsafe {
            ffi::lua_getfield_(self.as_ptr(), self.readable(table), name.as_ptr());
        }
    }

    /// `t[name] = top`, and pops it (metamethods may run).
    pub fn set_field(&mut self, table: i32, name: &CStr) {
        self.held(1);
        // SAFETY: a checked index, and a value. For what cannot be indexed, Lua raises an error.
        unsafe { ffi::lua_setfield(self.as_ptr(), self.readable(table), name.as_ptr()) }
    }

    /// Replaces the key on top by `t[key]`, raw.
    pub fn raw_get(&mut self, table: i32) {
        self.held(1);
        // SAFETY: a table, and a key.
        unsafe {
            ffi::lua_rawget_(self.as_ptr(), self.table(table));
        }
    }

    /// `t[key] = value` with both on top (popped), raw.
    pub fn raw_set(&mut self, table: i32) {
        self.held(2);
        // SAFETY: a table, a key and a value.
        unsafe { ffi::lua_rawset(self.as_ptr(), self.table(table)) }
    }

    /// Pushes `t[n]`, raw.
    pub fn raw_get_index(self, table: i32, n: i32) {
        // SAFETY: a table.
        unsafe {
            ffi::lua_rawgeti_(self.as_ptr(), self.table(table), n as _);
        }
    }

    /// `t[n] = top`, and pops it, raw.
    pub fn raw_set_index(&mut self, table: i32, n: i32) {
        self.held(1);
        // SAFETY: a table, and a value.
        unsafe { ffi::lua_rawseti_(self.as_ptr(), self.table(table), n as _) }
    }

    /// The table at `index`, for [`State::next`], [`State::raw_get_item`] and [`State::raw_set_item`].
    pub fn table_at(self, index: i32) -> TableAt {
        let index = self.table(index);
        let is_relative = REGISTRY < index && index < 0;
        TableAt(if is_relative { self.top() + index + 1 } else { index })
    }

    /// Requires argument `index` to be a table.
    pub fn table_argument(self, index: i32) -> Result<TableAt, LuaError> {
        self.check_kind(index, Kind::Table, c"table").map(|()| TableAt(index))
    }

    /// Pushes `t[n]`, raw.
    pub fn raw_get_item(self, table: TableAt, n: i32) {
        self.check_table_at(table);
        // SAFETY: a table.
        unsafe {
            ffi::lua_rawgeti_(self.as_ptr(), table.0, n as _);
        }
    }

    /// `t[n] = top`, and pops it, raw.
    pub fn raw_set_item(&mut self, table: TableAt, n: i32) {
        self.held(1);
        self.check_table_at(table);
        // SAFETY: a table, and a value.
        unsafe { ffi::lua_rawseti_(self.as_ptr(), table.0, n as _) }
    }

    /// Begins a walk through the table at `index`: pushes nil, the key before its first one.
    pub fn walk(self, index: i32) -> TableAt {
        let table = self.table_at(index);
        self.push_nil();
        table
    }

    #[inline(always)]
    fn check_table_at(self, table: TableAt) {
        debug_assert!(self.kind(table.0) == Kind::Table, "the table is still there");
    }

    /// Replaces the key on top by the next key and value; false at the end (key popped).
    pub fn next(&mut self, table: TableAt) -> bool {
        self.held(1);
        self.check_table_at(table);
        // SAFETY: a table, and a key; for one that it does not have, Lua raises an error.
        unsafe { ffi::lua_next(self.as_ptr(), table.0) != 0 }
    }

    /// Pops the table or nil on top and makes it the metatable of the value at `index`.
    pub fn set_metatable(&mut self, index: i32) {
        if !matches!(self.kind(-1), Kind::Table | Kind::Nil) {
            self.table(-1);
        }
        // SAFETY: a checked index; a table or nil is on top.
        unsafe {
            ffi::lua_setmetatable(self.as_ptr(), self.slot(index));
        }
    }

    /// Takes the metatable of the value at `index`, which is not relative to the top, away.
    pub fn remove_metatable(self, index: i32) {
        debug_assert!(index > 0, "nil is pushed before it is used");
        self.push_nil();
        // SAFETY: a checked index; nil is on top.
        unsafe {
            ffi::lua_setmetatable(self.as_ptr(), self.slot(index));
        }
    }

    /// Calls the metamethod `name` of the value at `index` and pushes its result; false if there is
    /// none. Only from a function that Lua called.
    pub fn call_metamethod(self, index: i32, name: &CStr) -> bool {
        // SAFETY: a checked index; may raise.
        unsafe { ffi::luaL_callmeta(self.as_ptr(), self.readable(index), name.as_ptr()) != 0 }
    }
}

//! A Lua stack with typed helpers; each says what it does to the stack. They trust that the indexes
//! that they are given are valid, and that pushing stays within `LUA_MINSTACK` or what
//! [`State::reserve`] has reserved.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;

use mlua::ffi;

use super::error::LuaError;
use super::function::CFunction;
use super::openresty;

/// The type of a Lua value, with Lua's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
    /// LuaJIT's cdata.
    Cdata,
}

impl Kind {
    fn from_number(n: c_int) -> Kind {
        match n {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            10 => Kind::Cdata,
            _ => Kind::None,
        }
    }

    /// Lua's name of the type, as `type()` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::LightUserdata | Kind::Userdata => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
            Kind::Cdata => "cdata",
        }
    }
}

/// A coroutine (or a VM's main one) and its stack; copies are the same coroutine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct State(NonNull<ffi::lua_State>);

/// The index of the registry table.
pub const REGISTRY: i32 = ffi::LUA_REGISTRYINDEX;
/// The index of the globals table.
pub const GLOBALS: i32 = ffi::LUA_GLOBALSINDEX;
/// All results of a call.
pub const MULTRET: i32 = ffi::LUA_MULTRET;
/// "No reference", as `luaL_unref` ignores it.
pub const NOREF: i32 = ffi::LUA_NOREF;

/// The pseudo-index of upvalue `n` of the running C function.
pub fn upvalue(n: i32) -> i32 {
    ffi::lua_upvalueindex(n)
}

impl State {
    /// # Safety
    /// `state` must be a live coroutine, and stay anchored while the value is used.
    pub unsafe fn from_ptr(state: *mut ffi::lua_State) -> State {
        // SAFETY: a live coroutine, the contract of this function.
        State(unsafe { NonNull::new_unchecked(state) })
    }

    pub fn as_ptr(self) -> *mut ffi::lua_State {
        self.0.as_ptr()
    }

    // --- the stack as a whole

    pub fn top(self) -> i32 {
        // SAFETY: a live state; so for every call below.
        unsafe { ffi::lua_gettop(self.as_ptr()) }
    }

    pub fn set_top(self, top: i32) {
        // SAFETY: `top` shrinks the stack, or grows it within what `reserve` has reserved.
        unsafe { ffi::lua_settop(self.as_ptr(), top) }
    }

    pub fn pop(self, n: i32) {
        self.set_top(-n - 1);
    }

    /// Reserves stack space for `n` more values; fails if there is none.
    pub fn reserve(self, n: i32) -> Result<(), LuaError> {
        // SAFETY: a live state.
        match unsafe { ffi::lua_checkstack(self.as_ptr(), n) } {
            0 => Err(LuaError::text("stack overflow")),
            _ => Ok(()),
        }
    }

    /// As [`State::reserve`], for a coroutine that is new, or waits in a function of this module's.
    pub fn reserve_waiting(self, n: i32) -> Result<(), LuaError> {
        // Such functions leave at least half free of the LUA_MINSTACK slots that Lua gives them
        // beyond their arguments; a new coroutine has twice as many.
        if n <= ffi::LUA_MINSTACK / 2 { Ok(()) } else { self.reserve(n) }
    }

    pub fn push_value(self, index: i32) {
        // SAFETY: a valid index.
        unsafe { ffi::lua_pushvalue(self.as_ptr(), index) }
    }

    pub fn insert(self, index: i32) {
        // SAFETY: a valid index.
        unsafe { ffi::lua_insert(self.as_ptr(), index) }
    }

    pub fn remove(self, index: i32) {
        // SAFETY: a valid index.
        unsafe { ffi::lua_remove(self.as_ptr(), index) }
    }

    pub fn replace(self, index: i32) {
        // SAFETY: a valid index.
        unsafe { ffi::lua_replace(self.as_ptr(), index) }
    }

    /// Moves the top `n` values to another coroutine of the same VM.
    pub fn move_to(self, target: State, n: i32) {
        // SAFETY: both belong to one VM; there are `n` values here, and `reserve` has reserved
        // space there.
        unsafe { ffi::lua_xmove(self.as_ptr(), target.as_ptr(), n) }
    }

    // --- reading

    pub fn kind(self, index: i32) -> Kind {
        // SAFETY: any index is fine.
        Kind::from_number(unsafe { ffi::lua_type(self.as_ptr(), index) })
    }

    pub fn is_nil_or_none(self, index: i32) -> bool {
        matches!(self.kind(index), Kind::Nil | Kind::None)
    }

    /// The truth value in Lua: true for everything but nil and false.
    pub fn boolean(self, index: i32) -> bool {
        // SAFETY: any index is fine.
        unsafe { ffi::lua_toboolean(self.as_ptr(), index) != 0 }
    }

    /// The value of a number, or of a string that reads as one; 0 otherwise.
    pub fn number(self, index: i32) -> f64 {
        // SAFETY: any index is fine.
        unsafe { ffi::lua_tonumber(self.as_ptr(), index) }
    }

    /// As [`State::number`], cut to an integer.
    pub fn integer(self, index: i32) -> i64 {
        // SAFETY: any index is fine.
        unsafe { ffi::lua_tointeger_(self.as_ptr(), index) as i64 }
    }

    pub fn is_number(self, index: i32) -> bool {
        // SAFETY: any index is fine.
        unsafe { ffi::lua_isnumber(self.as_ptr(), index) != 0 }
    }

    /// The bytes of a string or number; a number in the slot becomes a string there.
    ///
    /// They are valid while the value stays on the stack (or is otherwise anchored).
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        let mut len = 0;
        // SAFETY: Lua's strings do not move, and live while they are on the stack. (The slice
        // borrows the state, not the slot.)
        unsafe {
            let data = ffi::lua_tolstring(self.as_ptr(), index, &mut len);
            if data.is_null() {
                return None;
            }
            Some(std::slice::from_raw_parts(data.cast(), len))
        }
    }

    /// The bytes of a string, as [`State::bytes`]; nothing for a number.
    pub fn string(&self, index: i32) -> Option<&[u8]> {
        // SAFETY: any index is fine.
        let is_string = unsafe { ffi::lua_type(self.as_ptr(), index) } == ffi::LUA_TSTRING;
        if is_string { self.bytes(index) } else { None }
    }

    pub fn userdata(self, index: i32) -> *mut c_void {
        // SAFETY: any index is fine.
        unsafe { ffi::lua_touserdata(self.as_ptr(), index) }
    }

    /// The coroutine at `index`.
    pub fn thread(self, index: i32) -> Option<State> {
        // SAFETY: any index is fine.
        let thread = unsafe { ffi::lua_tothread(self.as_ptr(), index) };
        NonNull::new(thread).map(State)
    }

    /// `#value`: a table's length, a string's or a userdata's size.
    pub fn raw_len(self, index: i32) -> usize {
        // SAFETY: a valid index.
        unsafe { ffi::lua_objlen(self.as_ptr(), index) }
    }

    // --- arguments

    /// Argument `index` as bytes (a string or a number), or the error that Lua would raise.
    pub fn check_bytes(&self, index: i32) -> Result<&[u8], LuaError> {
        self.bytes(index).ok_or(LuaError::Type(index, c"string"))
    }

    /// Argument `index` as a number, or the error that Lua would raise.
    pub fn check_number(self, index: i32) -> Result<f64, LuaError> {
        if self.is_number(index) {
            Ok(self.number(index))
        } else {
            Err(LuaError::Type(index, c"number"))
        }
    }

    /// Argument `index` as an integer, or the error that Lua would raise.
    pub fn check_integer(self, index: i32) -> Result<i64, LuaError> {
        self.check_number(index).map(|_| self.integer(index))
    }

    /// Requires argument `index` to be of a kind; `expected` names it in the error.
    pub fn check_kind(
        self,
        index: i32,
        kind: Kind,
        expected: &'static CStr,
    ) -> Result<(), LuaError> {
        if self.kind(index) == kind { Ok(()) } else { Err(LuaError::Type(index, expected)) }
    }

    // --- pushing (each may raise "not enough memory")

    pub fn push_nil(self) {
        // SAFETY: a C function always has space for one more value (LUA_MINSTACK).
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
        // SAFETY: as above; a C function with that many values on the stack.
        unsafe { ffi::lua_pushcclosure(self.as_ptr(), function, upvalues) }
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

    // --- tables

    /// Pushes `t[name]` (metamethods may run).
    pub fn get_field(self, table: i32, name: &CStr) {
        // SAFETY: a valid index to something that can be indexed.
        unsafe {
            ffi::lua_getfield_(self.as_ptr(), table, name.as_ptr());
        }
    }

    /// `t[name] = top`, and pops it (metamethods may run).
    pub fn set_field(self, table: i32, name: &CStr) {
        // SAFETY: a valid index to something that can be indexed.
        unsafe { ffi::lua_setfield(self.as_ptr(), table, name.as_ptr()) }
    }

    /// Replaces the key on top by `t[key]`, raw.
    pub fn raw_get(self, table: i32) {
        // SAFETY: a valid index to a table.
        unsafe {
            ffi::lua_rawget_(self.as_ptr(), table);
        }
    }

    /// `t[key] = value` with both on top (popped), raw.
    pub fn raw_set(self, table: i32) {
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
    pub fn raw_set_index(self, table: i32, n: i32) {
        // SAFETY: a valid index to a table.
        unsafe { ffi::lua_rawseti_(self.as_ptr(), table, n as _) }
    }

    /// Replaces the key on top by the next key and value; false at the end (key popped).
    pub fn next(self, table: i32) -> bool {
        // SAFETY: a valid index to a table, a key of it on top.
        unsafe { ffi::lua_next(self.as_ptr(), table) != 0 }
    }

    pub fn set_metatable(self, index: i32) {
        // SAFETY: a valid index; a table or nil on top.
        unsafe {
            ffi::lua_setmetatable(self.as_ptr(), index);
        }
    }

    /// Pops the value on top and gives it a number in `table`.
    pub fn new_ref(self, table: i32) -> i32 {
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

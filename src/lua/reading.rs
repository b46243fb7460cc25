//! Reading the values of a Lua stack, and the arguments of a function.

use std::ffi::{CStr, c_void};

use mlua::ffi;

use super::error::LuaError;
use super::kind::Kind;
use super::state::State;

impl State {
    pub fn kind(self, index: i32) -> Kind {
        // SAFETY: a checked index.
        Kind::from_number(unsafe { ffi::lua_type(self.as_ptr(), self.readable(index)) })
    }

    pub fn is_nil_or_none(self, index: i32) -> bool {
        matches!(self.kind(index), Kind::Nil | Kind::None)
    }

    /// The truth value in Lua: true for everything but nil and false.
    pub fn boolean(self, index: i32) -> bool {
        // SAFETY: a checked index.
        unsafe { ffi::lua_toboolean(self.as_ptr(), self.readable(index)) != 0 }
    }

    /// The value of a number, or of a string that reads as one; 0 otherwise.
    pub fn number(self, index: i32) -> f64 {
        // SAFETY: a checked index.
        unsafe { ffi::lua_tonumber(self.as_ptr(), self.readable(index)) }
    }

    /// As [`State::number`], cut to an integer; the least integer for NaN, and for what is out of
    /// range.
    pub fn integer(self, index: i32) -> i64 {
        /// The first number that is too large.
        const LIMIT: f64 = (1_u64 << 63) as f64;
        if cfg!(target_arch = "x86_64") {
            // SAFETY: a checked index.
            return unsafe { ffi::lua_tointeger_(self.as_ptr(), self.readable(index)) as i64 };
        }
        // In C, other processors give the nearest integer for what is out of range, and 0 for NaN.
        let number = self.number(index);
        if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
    }

    /// The number that a coroutine's function has returned first, cut to an integer; 0 for none.
    pub fn result_code(self) -> i64 {
        if self.top() > 0 { self.integer(1) } else { 0 }
    }

    pub fn is_number(self, index: i32) -> bool {
        // SAFETY: a checked index.
        unsafe { ffi::lua_isnumber(self.as_ptr(), self.readable(index)) != 0 }
    }

    /// The bytes of a string or number; a number in the slot becomes a string there.
    ///
    /// They are valid while the value stays on the stack. What takes it off that takes `&mut self`.
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        let mut len = 0;
        // SAFETY: a checked index. Lua's strings do not move, and live while they are on the stack:
        // what takes them off it needs `&mut self`, and before that this borrow must have ended.
        unsafe {
            let data = ffi::lua_tolstring(self.as_ptr(), self.readable(index), &mut len);
            if data.is_null() {
                return None;
            }
            Some(std::slice::from_raw_parts(data.cast(), len))
        }
    }

    /// The bytes of a string, as [`State::bytes`]; nothing for a number.
    pub fn string(&self, index: i32) -> Option<&[u8]> {
        // SAFETY: a checked index.
        let is_string =
            unsafe { ffi::lua_type(self.as_ptr(), self.readable(index)) } == ffi::LUA_TSTRING;
        if is_string { self.bytes(index) } else { None }
    }

    pub fn userdata(self, index: i32) -> *mut c_void {
        // SAFETY: a checked index.
        unsafe { ffi::lua_touserdata(self.as_ptr(), self.readable(index)) }
    }

    /// The coroutine at `index`.
    pub fn thread(self, index: i32) -> Option<State> {
        // SAFETY: a checked index; LuaJIT gives a coroutine, or null for a value of another type.
        unsafe {
            let thread = ffi::lua_tothread(self.as_ptr(), self.readable(index));
            (!thread.is_null()).then(|| State::from_ptr(thread))
        }
    }

    /// `#value`: a table's length, a string's or a userdata's size.
    pub fn raw_len(self, index: i32) -> usize {
        // SAFETY: a checked index.
        unsafe { ffi::lua_objlen(self.as_ptr(), self.readable(index)) }
    }

    /// Argument `index` as bytes (a string or a number), or the error that Lua would raise.
    pub fn check_bytes(&self, index: i32) -> Result<&[u8], LuaError> {
        self.bytes(index).ok_or_else(|| LuaError::wrong_type(index, c"string"))
    }

    /// Argument `index` as a number, or the error that Lua would raise.
    pub fn check_number(self, index: i32) -> Result<f64, LuaError> {
        if self.is_number(index) {
            Ok(self.number(index))
        } else {
            Err(LuaError::wrong_type(index, c"number"))
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
        if self.kind(index) == kind { Ok(()) } else { Err(LuaError::wrong_type(index, expected)) }
    }
}

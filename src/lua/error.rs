//! What a Lua function of this module raises: built as a value, raised last.

use std::borrow::Cow;

use crate::nginx::core::pool::OutOfMemory;

/// An error for the Lua caller.
#[derive(Debug)]
pub enum LuaError {
    /// `error(text)` with the caller's position in front, as `luaL_error` does.
    Text(Cow<'static, str>),
    /// The same for a text that need not be UTF-8.
    Bytes(Vec<u8>),
    /// `bad argument #N to 'NAME' (TEXT)`.
    Argument(i32, Cow<'static, str>),
    /// `bad argument #N to 'NAME' (EXPECTED expected, got TYPE)`.
    Type(i32, &'static std::ffi::CStr),
    /// The value on top of the stack is the error.
    OnStack,
}

impl LuaError {
    /// [`LuaError::Text`] from a literal or a formatted text.
    pub fn text(text: impl Into<Cow<'static, str>>) -> LuaError {
        LuaError::Text(text.into())
    }

    /// [`LuaError::Argument`].
    pub fn argument(position: i32, text: impl Into<Cow<'static, str>>) -> LuaError {
        LuaError::Argument(position, text.into())
    }
}

impl From<OutOfMemory> for LuaError {
    fn from(_: OutOfMemory) -> Self {
        LuaError::text("no memory")
    }
}

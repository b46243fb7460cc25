//! The errors that Lua functions of this module raise: built as values, raised last.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;

use codec::fallible::{self, OutOfMemory};

/// An error for the Lua caller. One pointer, so that the result of a function fits into registers.
#[derive(Debug)]
pub struct LuaError(Box<Fault>);

/// What kind of error it is.
#[derive(Debug)]
pub enum Fault {
    /// `error(text)`, prefixed with the caller's position, as by `luaL_error`.
    Text(Cow<'static, str>),
    /// The same for a text that need not be UTF-8.
    Bytes(Vec<u8>),
    /// `bad argument #N to 'NAME' (TEXT)`.
    Argument(i32, Cow<'static, str>),
    /// `bad argument #N to 'NAME' (EXPECTED expected, got TYPE)`.
    Type(i32, &'static CStr),
    /// The value on top of the stack is the error.
    OnStack,
}

impl LuaError {
    /// [`Fault::Text`] from a literal or a formatted text.
    #[cold]
    pub fn text(text: impl IntoText) -> LuaError {
        text.into_text().map_or_else(LuaError::from, |text| LuaError::new(Fault::Text(text)))
    }

    /// [`Fault::Bytes`].
    #[cold]
    pub fn bytes(text: Vec<u8>) -> LuaError {
        LuaError::new(Fault::Bytes(text))
    }

    /// [`Fault::Argument`].
    #[cold]
    pub fn argument(position: i32, text: impl IntoText) -> LuaError {
        let argument = |text| LuaError::new(Fault::Argument(position, text));
        text.into_text().map_or_else(LuaError::from, argument)
    }

    /// [`Fault::Type`].
    #[cold]
    pub fn wrong_type(position: i32, expected: &'static CStr) -> LuaError {
        LuaError::new(Fault::Type(position, expected))
    }

    /// [`Fault::OnStack`].
    pub fn on_stack() -> LuaError {
        LuaError::new(Fault::OnStack)
    }

    #[cold]
    #[inline(never)]
    fn new(fault: Fault) -> LuaError {
        LuaError(Box::new(fault))
    }

    pub(super) fn into_fault(self) -> Fault {
        *self.0
    }
}

/// What an error's text can be made of: a literal, `format_args!`, or an existing text.
pub trait IntoText {
    fn into_text(self) -> Result<Cow<'static, str>, OutOfMemory>;
}

impl IntoText for &'static str {
    #[inline(always)]
    fn into_text(self) -> Result<Cow<'static, str>, OutOfMemory> {
        Ok(Cow::Borrowed(self))
    }
}

impl IntoText for Cow<'static, str> {
    fn into_text(self) -> Result<Cow<'static, str>, OutOfMemory> {
        Ok(self)
    }
}

impl IntoText for fmt::Arguments<'_> {
    fn into_text(self) -> Result<Cow<'static, str>, OutOfMemory> {
        fallible::format(self).map(Cow::Owned)
    }
}

impl From<OutOfMemory> for LuaError {
    #[cold]
    fn from(_: OutOfMemory) -> Self {
        LuaError::text("no memory")
    }
}

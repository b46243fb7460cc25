//! Functions of LuaJIT that Lua 5.1 lacks, and for which the crate mlua has no binding or only a
//! substitute.

use std::mem::{offset_of, size_of};

use mlua::ffi::{self, lua_State};

// mlua declares `lua_Debug` by hand: it must be what it is in LuaJIT's headers.
const _: () = {
    assert!(size_of::<ffi::lua_Debug>() == size_of::<lua_Debug>());
    assert!(offset_of!(ffi::lua_Debug, currentline) == offset_of!(lua_Debug, currentline));
    assert!(offset_of!(ffi::lua_Debug, short_src) == offset_of!(lua_Debug, short_src));
};

// Made of `sys.h` by build.rs.
#[allow(non_camel_case_types, non_snake_case, reason = "LuaJIT's names")]
mod luajit {
    use super::lua_State;
    include!(concat!(env!("OUT_DIR"), "/luajit.rs"));
}
pub use luajit::*;

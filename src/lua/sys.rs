//! Functions of LuaJIT that Lua 5.1 lacks, and for which the crate mlua has no binding or only a
//! substitute.

use mlua::ffi::lua_State;

// Made of `sys.h` by build.rs.
include!(concat!(env!("OUT_DIR"), "/luajit.rs"));

//! Functions of LuaJIT that Lua 5.1 lacks, and for which the crate mlua has no binding or only a
//! substitute.

#[cfg(not(feature = "vendored"))]
mod imp {
    use mlua::ffi::lua_State;

    // Made of `sys.h` by build.rs.
    include!(concat!(env!("OUT_DIR"), "/luajit.rs"));
}

/// Declared by hand, because mlua does not expose the headers of the LuaJIT that it builds.
#[cfg(feature = "vendored")]
mod imp {
    use std::ffi::{c_char, c_int};

    use mlua::ffi::lua_State;

    unsafe extern "C-unwind" {
        pub fn lua_isyieldable(state: *mut lua_State) -> c_int;
        pub fn luaL_traceback(
            on: *mut lua_State,
            of: *mut lua_State,
            message: *const c_char,
            level: c_int,
        );
    }
}

pub use imp::*;

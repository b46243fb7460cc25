//! Other copies of Lua in the process.
//!
//! The dynamic linker knows a symbol by its name alone, in the order in which objects were loaded. Lua's
//! libraries in C, which name none of their own, get the functions of the first Lua, and would use them
//! on the VM of the one that this module calls.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};

use super::sys::luaJIT_setmode;
use crate::nginx::core::log::{Level, Line};
use crate::nginx::core::object::{Object, first_found};

/// A function of LuaJIT alone, and one of each Lua, which this module does not call.
const LUAJIT: &CStr = c"luaJIT_setmode";
const LUA: &CStr = c"luaL_checkoption";

/// What is wrong, with its level: with another LuaJIT there is no knowing which functions the two have
/// from each other, so `Emerg` is for refusing the configuration; another Lua is in the way of libraries
/// only.
pub fn complaint() -> Option<(Level, Line)> {
    let own = Object::with(luaJIT_setmode as *const c_void)?;
    if let Some(other) = own.another_with(LUAJIT) {
        let (own, other) = (shown(&own), shown(&other));
        let line = format_args!(
            "ngx_http_lua_module uses the LuaJIT in \"{own}\", and \"{other}\" has another one: there can \
             be only one in a process; build what needs the other, or this module, for the same LuaJIT"
        );
        return Some((Level::Emerg, Line::of(line)));
    }
    let first = Object::with(first_found(LUA)).filter(|first| *first != own)?;
    let (own, first) = (shown(&own), shown(&first));
    let line = format_args!(
        "Lua's libraries in C will get the functions of \"{first}\", which was loaded before the LuaJIT \
         of ngx_http_lua_module in \"{own}\", and crash: load that module first"
    );
    Some((Level::Warn, Line::of(line)))
}

fn shown(object: &Object) -> Cow<'_, str> {
    object.path.to_string_lossy()
}

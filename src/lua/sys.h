/* What LuaJIT, and OpenResty's above all, adds to Lua 5.1, for bindgen: mlua's crate leaves it out. */

#include <lua.h>
#include <lauxlib.h>
#include <luajit.h>

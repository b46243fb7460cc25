/* All of LuaJIT's interface in C, for bindgen. */

#include <lua.h>
#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

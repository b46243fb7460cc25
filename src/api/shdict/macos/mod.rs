//! The C symbols that lua-resty-core uses on macOS, where LuaJIT passes no more than eight
//! arguments as C does: the same calls, with their arguments in a structure. They are there on every
//! platform, and so are checked on every one.

mod ffi;

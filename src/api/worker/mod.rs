//! `ngx.worker` and `ngx.process`: this process and its siblings. lua-resty-core has their Lua
//! functions.

mod ffi;

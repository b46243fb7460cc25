//! The public C API, which other nginx modules call (`ngx_http_lua_api.h` of the C module): the Lua
//! VM, the running request, loaders of Lua packages written in C, coroutines that wait for other
//! modules.

mod co_ctx;
mod ffi;

//! Shared dictionaries and zones for other nginx modules (`ngx_http_lua_api.h` of the C module).

mod ffi;

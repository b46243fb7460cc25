//! Shared dictionaries and zones for other nginx modules (`ngx_http_lua_api.h` in upstream).

mod ffi;

//! `ngx.now`, `ngx.time`, `ngx.today`, `ngx.http_time` and similar ones, over nginx's cached time.
//! lua-resty-core has their Lua functions.

mod ffi;

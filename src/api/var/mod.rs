//! `ngx.var`: nginx's variables in Lua. lua-resty-core has the Lua side.

mod ffi;

//! What belongs to no other family: `os.getenv` before the first request, `ngx.errlog`, the string
//! helpers of lua-resty-core.

mod ffi;

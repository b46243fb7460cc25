//! What belongs to no other family: `os.getenv` before requests, `ngx.errlog`, the string helpers
//! of lua-resty-core.

mod ffi;

//! The response's status: `ngx.status` and lua-resty-core's `ngx.resp.set_status`.

mod ffi;

//! lua-resty-core's `ngx.balancer`: what the code of `balancer_by_lua*` decides about the try that nginx is
//! about to make. The code reaches the try through the request's context, and only while it runs.

mod ffi;

//! lua-resty-core's `ngx.balancer`: what `balancer_by_lua*` says of the try that nginx is about to
//! make. The code reaches the try through the request's context, and only while it runs.

mod ffi;

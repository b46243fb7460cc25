//! lua-resty-core's `ngx.balancer`: what the code of `balancer_by_lua*` decides about nginx's next
//! try at a server of the upstream. The code reaches the try through the request's context, and
//! only while it runs.

mod ffi;

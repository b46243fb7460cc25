//! What `ngx.ssl` tells of a connection's secrets.

mod ffi;

//! The functions of `ngx.ssl` that give access to a connection's secrets.

mod ffi;

//! `ngx.ssl`, its submodules and `ngx.ocsp`: a client's TLS connection, in its handshake and in its
//! requests.

mod certificates;
mod client_hello;
mod ffi;
mod ocsp;
mod proxy;
mod secrets;
mod session;

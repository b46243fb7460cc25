//! `ngx.ssl`, its submodules and `ngx.ocsp`: a client's TLS connection, during its handshake and during its
//! requests.

mod certificates;
mod client_hello;
mod ffi;
mod ocsp;
mod proxy;
mod secrets;
mod session;

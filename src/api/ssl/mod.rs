//! `ngx.ssl`, its submodules and `ngx.ocsp`: TLS connections of clients, during their handshakes
//! and their requests, and connections to upstreams.

mod certificates;
mod client_hello;
mod ffi;
mod ocsp;
mod proxy;
mod secrets;
mod session;

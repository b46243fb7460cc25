//! Certificates and private keys: read, set, asked of a client.

mod ffi;

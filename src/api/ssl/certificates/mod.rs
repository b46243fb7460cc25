//! Certificates and private keys: read, set, asked of a client.

pub(super) mod ffi;

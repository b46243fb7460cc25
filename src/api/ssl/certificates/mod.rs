//! Certificates and private keys: parsing them, setting them, and asking a client for its
//! certificate.

pub(super) mod ffi;

//! `ngx.ocsp`: requests to OCSP responders, their responses, and OCSP stapling.

mod ffi;

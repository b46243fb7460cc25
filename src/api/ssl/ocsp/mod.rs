//! `ngx.ocsp`.

mod ffi;

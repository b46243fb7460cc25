//! `ngx.ssl.session`.

mod ffi;

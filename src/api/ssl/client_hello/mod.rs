//! `ngx.ssl.clienthello`.

mod ffi;

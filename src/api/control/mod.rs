//! `ngx.exit`, `ngx.exec`, `ngx.redirect`, `ngx.on_abort`, `ngx.get_phase` and the request's flags.

mod ffi;
mod lua;

pub use lua::inject;

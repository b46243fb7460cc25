//! The request's headers: `ngx.req.get_headers`, `ngx.req.set_header`, `ngx.req.raw_header`,
//! `ngx.req.http_version`.

mod ffi;
mod lua;

pub use lua::inject;

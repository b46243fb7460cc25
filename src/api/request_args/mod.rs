//! The request's URI and arguments: `ngx.req.set_uri`, `set_uri_args`, `get_uri_args`,
//! `get_post_args`, and `ngx.encode_args`, `ngx.decode_args`.

mod ffi;
mod lua;

pub use lua::{inject, inject_codec};

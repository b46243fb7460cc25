//! The response's headers: `ngx.header` and `ngx.resp.get_headers`.

mod ffi;
mod lua;

pub use lua::inject;

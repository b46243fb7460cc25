//! `ngx.escape_uri`, `ngx.unescape_uri`, `ngx.encode_base64`, `ngx.decode_base64`,
//! `ngx.quote_sql_str`: crates/codec does the work.

mod ffi;
mod lua;

pub use lua::inject;

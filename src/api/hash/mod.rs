//! `ngx.md5`, `ngx.md5_bin`, `ngx.sha1_bin`, `ngx.crc32_short`, `ngx.crc32_long`,
//! `ngx.hmac_sha1`.

mod ffi;
mod lua;

pub use lua::inject;

//! `ngx.re.*`: regular expressions, which lua-resty-core runs through the C symbols of this folder.
//!
//! The work is done by PCRE2, in the same library that nginx itself links. Which PCRE
//! lua-resty-core expects (option bits, result codes, texts) depends on its release: see `dialect`.
//! `codec::pcre1` has the tables for PCRE1, `compiled` is what Lua
//! holds, `template` the replacement of `ngx.re.sub` and `ngx.re.gsub`.

pub mod compiled;
pub mod dialect;
pub mod ffi;
pub mod template;

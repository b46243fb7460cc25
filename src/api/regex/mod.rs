//! `ngx.re.*`: regular expressions, which lua-resty-core runs through the C symbols of this room.
//!
//! lua-resty-core speaks PCRE's first version (option bits, result codes, the layout of a compiled
//! expression); the work is done by PCRE2, in the same library that nginx itself links. `pcre1`
//! translates, `pcre2` wraps the library, `compiled` is what Lua holds, `template` the replacement
//! of `ngx.re.sub` and `ngx.re.gsub`.

pub mod compiled;
pub mod ffi;
pub mod pcre1;
pub mod pcre2;
pub mod template;

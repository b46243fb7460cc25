//! Encoders, decoders and lexers that need neither nginx nor Lua.
//!
//! Everything here takes bytes and gives bytes. Functions that fill a caller's buffer take it as a
//! slice, never write past it, and come with a function or constant for the length it needs.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may fail for want of memory"))]

mod byte_set;
mod short;

pub mod args;
pub mod base64;
#[allow(clippy::disallowed_methods, reason = "a block of the configuration, when nginx reads it")]
pub mod block;
#[allow(clippy::disallowed_methods, reason = "a name of the configuration")]
pub mod chunk_name;
pub mod crc32;
pub mod fallible;
#[cfg(feature = "fault-injection")]
pub mod faults;
pub mod folded;
pub mod headers;
pub mod hex;
pub mod http_time;
pub mod json;
pub mod log_event;
pub mod log_ring;
pub mod log_text;
pub mod lua_pattern;
pub mod md5;
pub mod message_ring;
pub mod pcre1;
pub mod pool_admission;
pub mod raw_header;
pub mod receive_until;
pub mod recursion;
#[allow(clippy::disallowed_methods, reason = "a file of lua-resty-core, when a VM is made")]
pub mod resty_core;
pub mod seconds;
pub mod sql;
#[allow(clippy::disallowed_methods, reason = "files of the system, when the configuration is read")]
pub mod system_names;
pub mod template;
pub mod uri;
pub mod user_agent;
mod vector_search;

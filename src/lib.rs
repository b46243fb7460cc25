//! lua-nginx-module in Rust: its layers, each a folder. ARCHITECTURE.md says what is where.

// Only src/nginx, src/lua and the files named `ffi.rs` allow unsafe code again: the boundaries.
#![deny(unsafe_code)]
// In a build for an nginx without TLS or threads, code that serves only these has no caller.
#![cfg_attr(
    not(all(ngx_feature = "http_ssl", ngx_feature = "threads")),
    allow(dead_code, unused_imports, unused_macros, unused_variables)
)]

mod api;
#[allow(clippy::disallowed_methods, reason = "what a configuration holds, when nginx reads it")]
mod config;
mod lua;
mod module;
mod nginx;
mod phase;
mod runtime;

//! lua-nginx-module in Rust: its layers, each a folder. ARCHITECTURE.md says what is where.

// Unsafe code stays at the boundaries, and where C code calls in.
#![deny(unsafe_code)]
// For an nginx without TLS or threads, what serves these alone has no caller.
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

//! lua-nginx-module in Rust: the tree of rooms. ARCHITECTURE.md says what is where.

mod api;
mod config;
mod lua;
mod module;
mod nginx;
mod phase;
mod runtime;

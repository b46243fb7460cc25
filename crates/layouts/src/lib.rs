//! Tests that nginx's structures are in Rust, by the bindings of the crate nginx-sys, what they are
//! for the C compiler: how large they are, where their members are, and which bits are their bit
//! fields.
//!
//! `cargo test --package layouts` compares the nginx that NGINX_SOURCE_DIR and NGINX_BUILD_DIR
//! name; `cargo xtask matrix` does so for each nginx.

#![allow(clippy::disallowed_methods, reason = "tests may run out of memory")]

#[cfg(test)]
mod ffi;

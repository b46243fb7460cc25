//! The boundary to nginx: the only folder that touches nginx's own structures.
//!
//! All other layers use the small wrappers declared here. A wrapper is built from a pointer that
//! nginx passed (an `unsafe` step, in which nginx is the guarantor); its methods are then safe to
//! call for as long as the object's pool lives. SAFETY.md states the invariants that all of this
//! rests on: one thread, pool lifetimes, reload.

#![allow(unsafe_code, reason = "the boundary to nginx")]

pub mod core;
pub mod event;
pub mod http;
pub mod sys;

pub use core::chain::Chain;
pub use core::guard;
pub use core::guard::guard;
pub use core::log::Level;
pub use core::module::module;
pub use core::status::Status;
pub use http::headers::error::HeaderError;
pub use http::headers::indexed::forget_all as forget_header_indexes;
pub use http::headers::node::Node as Header;
pub use http::request::Request;

//! The boundary to nginx: the only room that touches nginx's own structures.
//!
//! Everything above deals in the small wrappers declared here. A wrapper is built from a pointer
//! that nginx handed over (an `unsafe` step that names nginx as the guarantor); its methods are then
//! safe to call for as long as the object's pool lives. SAFETY.md states the host-wide invariants
//! that all of this rests on: one thread, pool lifetimes, reload.

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
pub use http::headers::list::Node as Header;
pub use http::request::Request;

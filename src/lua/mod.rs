//! The boundary to LuaJIT: the only folder that uses `mlua::ffi`.
//!
//! Two rules keep errors and panics apart (SAFETY.md has the long form):
//! - A Lua error unwinds through Rust frames and runs their destructors, but must not reach a
//!   `catch_unwind`. So functions that Lua calls ([`function`]) have no panic guard: they run in
//!   `panic_barrier`, which turns their panics into Lua errors.
//! - nginx's callbacks, which do have a panic guard, call Lua in protected mode only:
//!   [`State::resume`], [`State::call`], [`State::protect`].

#![allow(unsafe_code, reason = "the boundary to LuaJIT")]

mod checks;
pub mod chunk;
mod code_watch;
pub mod coroutine;
pub mod error;
mod error_value;
pub mod frames;
pub mod function;
pub mod heap;
pub mod inspect;
pub mod interrupt;
mod jit;
mod kind;
mod limit;
mod memory;
pub mod openresty;
pub mod other_luas;
mod package_paths;
mod panic_barrier;
pub mod profiler;
mod pushing;
mod reading;
mod reference;
pub mod registry;
#[allow(clippy::disallowed_methods, reason = "a file of lua-resty-core, when a VM is made")]
pub mod resty_core;
mod run;
pub mod state;
mod sys;
mod tables;
pub mod thread_vm;
pub mod userdata;
#[cfg(feature = "vendored")]
mod vendored;
pub mod vm;
pub mod yieldable;

pub use code_watch::CodeKey;
pub use error::LuaError;
pub use function::{CFunction, LuaResult, RawFunction, Returns};
pub use kind::Kind;
pub use reference::{Anchor, Reference, Thread, ThreadAnchor};
pub use run::{LuaFailure, Outcome};
pub use state::State;
pub use tables::TableAt;
pub use thread_vm::ThreadVm;
pub use vm::Vm;

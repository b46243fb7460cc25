//! The `ngx.*` API: one folder or file per family.
//!
//! In each, the feature is plain Rust; `lua.rs` has its Lua functions (rows of a table), `ffi.rs`
//! its exported C symbols. Both faces are thin: they check arguments, call the feature and shape
//! the results.

pub mod arg;
pub mod arguments;
pub mod balancer;
pub mod c_api;
pub mod call;
pub mod constants;
pub mod control;
pub mod coroutine;
pub mod ctx;
pub mod encoding;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod ffi;
pub mod formats;
pub mod gsub;
pub mod hash;
pub mod log;
pub mod misc;
pub mod ndk;
pub mod pipe;
pub mod print;
pub mod profile;
pub mod regex;
pub mod request;
pub mod request_args;
pub mod request_body;
pub mod request_headers;
pub mod require;
pub mod response_headers;
pub mod response_status;
pub mod semaphore;
pub mod shdict;
pub mod sleep;
pub mod slices;
pub mod socket_failure;
pub mod socket_log;
pub mod socket_tcp;
pub mod socket_udp;
pub mod sort;
#[cfg(ngx_feature = "http_ssl")]
pub mod ssl;
pub mod status;
pub mod subrequest;
pub mod thread;
pub mod threads;
pub mod time;
pub mod timer;
pub mod value_lists;
pub mod var;
pub mod worker;
pub mod worker_events;
#[cfg(ngx_feature = "threads")]
pub mod worker_thread;

use std::ffi::CStr;

use crate::lua::State;
use crate::lua::state::GLOBALS;
use crate::nginx::core::shared_memory::Dict;

/// Fills the globals of a new VM: the `ngx` table, `print`, and what lua-resty-core expects.
/// `dicts` become `ngx.shared`.
///
/// To be called in protected mode: it may raise a Lua error.
pub fn inject(state: State, dicts: &[Dict]) {
    state.new_table(0, 128);
    for inject in FAMILIES {
        inject(state);
    }
    shdict::inject(state, dicts);
    set_global_module(state, c"ngx");
}

/// Takes a table off the stack: the global `name`, which `require` gives too.
fn set_global_module(mut state: State, name: &CStr) {
    state.get_field(GLOBALS, c"package");
    state.get_field(-1, c"loaded");
    state.push_value(-3);
    state.set_field(-2, name);
    state.pop(2);
    state.set_field(GLOBALS, name);
}

/// Adds functions to tables that lua-resty-core has made, or puts them in the place of its own, once it has been
/// loaded.
///
/// To be called in protected mode, as [`inject`].
pub fn complete(state: State) {
    coroutine::complete(state);
    worker_events::complete(state);
}

/// Each adds its functions to the `ngx` table, which is on top of the stack, and to the globals.
/// The stack stays as it is.
const FAMILIES: &[fn(State)] = &[
    constants::inject,
    arg::inject,
    log::inject,
    print::inject,
    control::inject,
    coroutine::inject,
    sleep::inject,
    require::inject,
    sort::inject,
    gsub::inject,
    socket_tcp::inject,
    socket_udp::inject,
    request_headers::inject,
    response_headers::inject,
    subrequest::inject,
    request::inject,
    request_args::inject,
    request_body::inject,
    ndk::inject,
    encoding::inject,
    hash::inject,
    timer::inject,
    thread::inject,
    #[cfg(feature = "fault-injection")]
    fault::inject,
    #[cfg(ngx_feature = "threads")]
    worker_thread::inject,
];

//! References of `ngx.ctx` tables: lua-resty-core keeps the tables, this module their references.

use std::cell::Cell;
use std::ffi::c_int;

use crate::lua::State;
use crate::lua::state::REGISTRY;
use crate::nginx::Level;
use crate::nginx::core::log::{cycle_log, log_cycle};
use crate::ngx_debug;

/// No `ngx.ctx` table yet.
pub const NO_CTX: c_int = -2;

/// lua-resty-core's table of `ngx.ctx` tables, in the registry.
const TABLES: &std::ffi::CStr = c"ngx_lua_ctx_tables";

/// Stores the table at `index` as a request's `ngx.ctx`; returns its reference. May raise.
pub fn keep(mut state: State, index: c_int) -> c_int {
    state.push_value(index);
    state.get_field(REGISTRY, TABLES);
    state.insert(-2);
    let reference = state.new_ref(-2);
    state.pop(1);
    reference
}

/// Another reference of the table that `reference` is of; `None` without memory.
pub fn share(state: State, reference: c_int) -> Option<c_int> {
    let shared = Cell::new(NO_CTX);
    let result = state.protect(|mut state| {
        state.get_field(REGISTRY, TABLES);
        state.raw_get_index(-1, reference);
        shared.set(state.new_ref(-2));
    });
    if let Err(reason) = &result {
        log_cycle(Level::Err, reason);
    }
    result.is_ok().then(|| shared.get())
}

/// Gives up a reference in lua-resty-core's table.
pub fn release(state: State, reference: c_int) {
    ngx_debug!(cycle_log(), "lua release ngx.ctx at ref {reference}");
    let result = state.protect(move |state| {
        state.get_field(REGISTRY, TABLES);
        state.unref(-1, reference);
    });
    if let Err(reason) = result {
        log_cycle(Level::Err, &reason);
    }
}

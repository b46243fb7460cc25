//! References of `ngx.ctx` tables: lua-resty-core keeps the tables, this module their references.

use std::cell::Cell;
use std::ffi::c_int;

use crate::lua::state::REGISTRY;
use crate::lua::{Reference, State};
use crate::nginx::Level;
use crate::nginx::core::log::{cycle_log, log_cycle};
use crate::ngx_debug;

/// What lua-resty-core takes for no `ngx.ctx` table yet.
const NO_CTX: c_int = -2;

/// The reference of an `ngx.ctx` table, or of none yet.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct CtxRef(Option<Reference>);

impl CtxRef {
    /// The reference that lua-resty-core knows by this number.
    pub fn from_number(number: c_int) -> CtxRef {
        CtxRef(Reference::from_number(number))
    }

    /// The number by which lua-resty-core knows it.
    #[inline(always)]
    pub fn number(self) -> c_int {
        self.0.map_or(NO_CTX, Reference::number)
    }

    #[inline(always)]
    pub fn is_some(self) -> bool {
        self.0.is_some()
    }
}

/// lua-resty-core's table of `ngx.ctx` tables, in the registry.
const TABLES: &std::ffi::CStr = c"ngx_lua_ctx_tables";

/// Stores the table at `index` as a request's `ngx.ctx`; returns its reference. May raise.
pub fn keep(mut state: State, index: c_int) -> CtxRef {
    state.push_value(index);
    state.get_field(REGISTRY, TABLES);
    state.insert(-2);
    let reference = state.new_ref(-2);
    state.pop(1);
    CtxRef(Some(reference))
}

/// Another reference of the table that `reference` is of; none without memory.
pub fn share(state: State, reference: CtxRef) -> CtxRef {
    let Some(reference) = reference.0 else { return CtxRef::default() };
    let shared = Cell::new(None);
    let result = state.protect(|mut state| {
        state.get_field(REGISTRY, TABLES);
        state.push_ref(-1, reference);
        shared.set(Some(state.new_ref(-2)));
    });
    if let Err(reason) = &result {
        log_cycle(Level::Err, reason);
    }
    CtxRef(shared.get())
}

/// Gives up a reference in lua-resty-core's table.
pub fn release(state: State, reference: CtxRef) {
    let Some(reference) = reference.0 else { return };
    ngx_debug!(cycle_log(), "lua release ngx.ctx at ref {}", reference.number());
    let result = state.protect(move |state| {
        state.get_field(REGISTRY, TABLES);
        state.unref(-1, reference);
    });
    if let Err(reason) = result {
        log_cycle(Level::Err, &reason);
    }
}

//! `ngx.ctx`: lua-resty-core keeps the tables, this module their references, one per request.

use std::ffi::c_int;

use crate::api::ffi;
use crate::lua::State;
use crate::lua::state::REGISTRY;
use crate::nginx::guard;
use crate::nginx::sys::ngx_http_request_t;

/// Gives up a reference in lua-resty-core's table of `ngx.ctx` tables.
pub fn release(state: State, reference: c_int) {
    crate::ngx_debug!(crate::nginx::log::cycle_log(), "lua release ngx.ctx at ref {reference}");
    let result = state.protect(move |state| {
        state.get_field(REGISTRY, c"ngx_lua_ctx_tables");
        state.unref(-1, reference);
    });
    if let Err(reason) = result {
        crate::nginx::log::log_cycle(crate::nginx::Level::Err, &reason);
    }
}

/// The reference of the request's `ngx.ctx` table: non-negative, or -2 for none yet, or -100
/// where the request has no context.
///
/// `in_ssl_phase` and `ssl_ctx_ref` may be null; they tell of the connection's own table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_get_ctx_ref(
    r: *mut ngx_http_request_t,
    in_ssl_phase: *mut c_int,
    ssl_ctx_ref: *mut c_int,
) -> c_int {
    guard(ffi::NO_REQ_CTX, || {
        // SAFETY: lua-resty-core passes the running request, and cells of its own.
        unsafe {
            let Some(context) = ffi::context(r) else { return ffi::NO_REQ_CTX };
            if let Some(in_ssl_phase) = in_ssl_phase.as_mut() {
                *in_ssl_phase = 0;
            }
            if let Some(ssl_ctx_ref) = ssl_ctx_ref.as_mut() {
                *ssl_ctx_ref = crate::runtime::context::NO_CTX;
            }
            context.ctx_ref.get()
        }
    })
}

/// Keeps `reference` as that of the request's `ngx.ctx` table until the request ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_ctx_ref(
    r: *mut ngx_http_request_t,
    reference: c_int,
) -> c_int {
    guard(ffi::ERROR, || {
        // SAFETY: lua-resty-core passes the running request.
        let Some(context) = (unsafe { ffi::context(r) }) else { return ffi::NO_REQ_CTX };
        context.ctx_ref.set(reference);
        ffi::OK
    })
}

/// Keeps the table at `index` as a request's `ngx.ctx`; gives its reference. May raise.
pub fn keep(state: State, index: c_int) -> c_int {
    state.push_value(index);
    state.get_field(REGISTRY, c"ngx_lua_ctx_tables");
    state.insert(-2);
    let reference = state.new_ref(-2);
    state.pop(1);
    reference
}

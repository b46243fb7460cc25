//! The symbols about `ngx_http_lua_co_ctx_t`, which is opaque: its address is a key that this module
//! looks up, and nothing is stored there. It is valid for as long as its coroutine runs or waits; then
//! it finds nothing, and each function here does nothing with it, nor with null.
//!
//! How another module waits: its C function takes the running coroutine
//! ([`ngx_http_lua_get_cur_co_ctx`]), starts its own operation, says how that is cancelled
//! ([`ngx_http_lua_set_co_ctx_cleanup`]) and returns `lua_yield(L, 0)`. When the operation has
//! finished, it puts the results onto the coroutine's stack ([`ngx_http_lua_get_co_ctx_vm`]) and
//! calls [`ngx_http_lua_co_ctx_resume_helper`]. Where the coroutine ends before, the cleanup is
//! called once.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::rc::Rc;

use export::export;

use crate::api::ffi;
use crate::config::LocationConf;
use crate::nginx::sys::ngx_http_request_t;
use crate::runtime::co_ctx::{self, Cancel, CoCtx};
use crate::runtime::{Context, PhaseSet, Task};

/// `ngx_http_cleanup_pt`.
type Cleanup = unsafe extern "C" fn(*mut c_void);

/// `ngx_http_lua_co_ctx_t`.
#[repr(C)]
pub struct CoCtxPtr {
    _opaque: [u8; 0],
}

fn find(co_ctx: *mut CoCtxPtr) -> Option<Rc<CoCtx>> {
    co_ctx::find(co_ctx.addr() as u64)
}

fn pointer(key: u64) -> *mut CoCtxPtr {
    without_provenance_mut(key as usize)
}

/// The coroutine that runs for the request `r`: the same pointer each time, until it ends. Null
/// where none runs, in phases that cannot wait, and without memory. The module keeps ownership.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_cur_co_ctx(r: *mut ngx_http_request_t) -> *mut CoCtxPtr {
    // SAFETY: the calling code passes null or a live request.
    let context = unsafe { ffi::context(r) };
    let waits = |context: &Rc<Context>| PhaseSet::YIELDABLE.has(context.phase.get());
    let task = context.filter(waits).and_then(|context| context.current());
    let key = task.and_then(|task| co_ctx::key_of(&task).ok());
    key.map_or(null_mut(), pointer)
}

/// Says that `co_ctx` is the coroutine which code outside Lua acts for: [`ngx_http_lua_get_cur_co_ctx`]
/// gives it while no Lua code runs, and [`ngx_http_lua_get_co_ctx_data`] gives `r` from now on.
///
/// Does nothing where the coroutine is not one of the request's. A resume does not need it.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_set_cur_co_ctx(
    r: *mut ngx_http_request_t,
    co_ctx: *mut CoCtxPtr,
) {
    let Some(record) = find(co_ctx) else { return };
    // SAFETY: the calling code passes null or a live request.
    let Some(context) = (unsafe { ffi::context(r) }) else { return };
    // A filter's are of another context of the request.
    let is_its = |task: &Rc<Task>| task.request() == Some(context.request());
    let Some(task) = record.task().filter(is_its) else { return };
    record.data.set(r.cast());
    if !Context::any_runs() {
        context.set_current(Some(&task));
    }
}

/// The Lua coroutine itself, whose stack takes the results for
/// [`ngx_http_lua_co_ctx_resume_helper`]; null once it has ended. Lua keeps ownership.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_co_ctx_vm(co_ctx: *mut CoCtxPtr) -> *mut c_void {
    let state = find(co_ctx).and_then(|record| record.state());
    state.map_or(null_mut(), |state| state.as_ptr().cast())
}

/// What [`ngx_http_lua_set_co_ctx_cleanup`] or [`ngx_http_lua_set_cur_co_ctx`] last set, also in
/// the cleanup; null before that, and once the coroutine has ended. It is the caller's own.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_co_ctx_data(co_ctx: *mut CoCtxPtr) -> *mut c_void {
    find(co_ctx).map_or(null_mut(), |record| record.data.get())
}

/// Has `cleanup` called, with `co_ctx`, should the coroutine stop waiting before it is resumed: it is
/// killed, the request ends, or it goes on to wait for something else. That is once at most, and not
/// after [`ngx_http_lua_co_ctx_resume_helper`]. Null takes back what was set.
///
/// `data`, which stays the caller's, is what [`ngx_http_lua_get_co_ctx_data`] gives from now on.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_set_co_ctx_cleanup(
    co_ctx: *mut CoCtxPtr,
    cleanup: Option<Cleanup>,
    data: *mut c_void,
) {
    let Some(record) = find(co_ctx) else { return };
    record.data.set(data);
    record.set_cancel(cleanup.map(|cleanup| -> Cancel {
        let key = co_ctx.addr();
        Box::new(move || {
            // SAFETY: the calling module's function, of nginx's type, with the key of its
            // coroutine.
            unsafe { cleanup(without_provenance_mut(key)) }
        })
    }));
}

/// Cancels what the coroutine waits for: another module's operation by its cleanup, one of this
/// module's by dropping it. The coroutine still has to be resumed.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_cleanup_co_ctx_pending_operation(co_ctx: *mut CoCtxPtr) {
    if let Some(record) = find(co_ctx) {
        record.cancel_pending();
    }
}

/// Resumes the coroutine, which yielded from a C function, with the top `nrets` values of its stack as
/// that function's results. It may run, and its request end, before this returns; where Lua code runs
/// already, it does so once nginx's events come round again.
///
/// A coroutine that does not wait for another module, above all one that was resumed already, is left
/// alone; an `[alert]` says so.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_co_ctx_resume_helper(co_ctx: *mut CoCtxPtr, nrets: c_int) {
    if let Some(record) = find(co_ctx) {
        record.resume(nrets);
    }
}

/// Whether `lua_http10_buffering` is on in the request's location: 1 or 0; 0 for null.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(0)]
pub unsafe extern "C" fn ngx_http_lua_get_lua_http10_buffering(
    r: *mut ngx_http_request_t,
) -> c_int {
    // SAFETY: the calling code passes null or a live request.
    let request = unsafe { ffi::request(r) };
    request.map_or(0, |request| LocationConf::of(request).http10_buffering().into())
}

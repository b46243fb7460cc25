//! The symbols about `ngx_http_lua_co_ctx_t`, which is opaque: its address is a key that this
//! module looks up, and nothing is stored there. It is valid for as long as its coroutine runs or
//! waits. After that, the key finds nothing, and each function here does nothing, as it does with
//! null.
//!
//! How another module waits: its C function takes the running coroutine
//! ([`ngx_http_lua_get_cur_co_ctx`]), starts its own operation, says how that is cancelled
//! ([`ngx_http_lua_set_co_ctx_cleanup`]) and returns `lua_yield(L, 0)`. When the operation has
//! finished, it puts the results onto the coroutine's stack ([`ngx_http_lua_get_co_ctx_vm`]) and
//! calls [`ngx_http_lua_co_ctx_resume_helper`]. If the coroutine ends before that, the cleanup is
//! called, once.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::ptr::{null_mut, without_provenance_mut};
use std::rc::Rc;

use export::export;

use crate::config::LocationConf;
use crate::nginx::Request;
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

/// The context of `request`: that of the code that calls, if it is the request's; `None` if there is none.
fn context_of(request: Request) -> Option<Rc<Context>> {
    let is_its = |context: &&Rc<Context>| context.request() == request;
    let caller = Context::with_innermost(|context| context.filter(is_its).cloned());
    caller.or_else(|| Context::of(request)).or_else(|| Context::running(request))
}

/// The coroutine that runs for the request `r`: the same pointer each time, until it ends. Null if
/// none runs, in phases that cannot wait, and without memory. The caller frees nothing.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_cur_co_ctx(r: *mut ngx_http_request_t) -> *mut CoCtxPtr {
    // SAFETY: the calling code passes null or a live request.
    let context = unsafe { Request::from_ptr(r) }.and_then(context_of);
    let waits = |context: &Rc<Context>| PhaseSet::YIELDABLE.has(context.phase.get());
    let task = context.filter(waits).and_then(|context| context.current());
    let key = task.and_then(|task| co_ctx::key_of(&task).ok());
    key.map_or(null_mut(), pointer)
}

/// Makes `co_ctx` the coroutine that the calling C code acts for: [`ngx_http_lua_get_cur_co_ctx`]
/// returns it while no Lua code runs, and [`ngx_http_lua_get_co_ctx_data`] returns `r` from now on.
///
/// Does nothing if the coroutine is not one of the request's. A resume does not need this call.
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
    let Some(context) = unsafe { Request::from_ptr(r) }.and_then(context_of) else { return };
    // Not `belongs_to`: a filter's coroutines are in another context of the same request.
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

/// The pointer that [`ngx_http_lua_set_co_ctx_cleanup`] or [`ngx_http_lua_set_cur_co_ctx`] has set
/// last; null before that, and once the coroutine has ended. The cleanup still gets it.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_get_co_ctx_data(co_ctx: *mut CoCtxPtr) -> *mut c_void {
    find(co_ctx).map_or(null_mut(), |record| record.data.get())
}

/// Has `cleanup` called, with `co_ctx`, if the coroutine stops waiting before it is resumed:
/// because it is killed, the request ends, or it goes on to wait for something else. It is called
/// once at most, and not after [`ngx_http_lua_co_ctx_resume_helper`]. Null takes back what was set.
///
/// [`ngx_http_lua_get_co_ctx_data`] returns `data` from now on, which stays the caller's.
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
            // SAFETY: the calling module passed this function to be called so, with the key of its
            // coroutine; nginx does not unload modules while requests run.
            unsafe { cleanup(without_provenance_mut(key)) }
        })
    }));
}

/// Cancels what the coroutine waits for: another module's operation by its cleanup, one of this
/// module's by dropping it. The caller has to resume the coroutine afterwards.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_cleanup_co_ctx_pending_operation(co_ctx: *mut CoCtxPtr) {
    if let Some(record) = find(co_ctx) {
        record.cancel_pending();
    }
}

/// Resumes the coroutine, which yielded from a C function, with the top `nrets` values of its stack
/// as that function's results. It runs, and its request may end, before this returns; but if Lua
/// code is running now, the coroutine runs in the next round of the event loop.
///
/// A coroutine that does not wait for another module, such as one that has been resumed already, is
/// left alone, with an `[alert]` in the log.
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
    let request = unsafe { Request::from_ptr(r) };
    request.map_or(0, |request| LocationConf::of(&request).http10_buffering().into())
}

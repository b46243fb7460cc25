//! The pool that nginx destroys in place of a detached request's own.
//!
//! What other modules' handlers of the log phase allocate in it comes from the request's own
//! blocks, and stays. Their cleanups run when nginx destroys it, as do those that the request's
//! pool has for what is outside of the request: counts of requests, addresses of connections, and
//! whatever other modules have. Left for the request's real end are the cleanups of `Pool::own`, of
//! this module's context and of the header as it came, and of files, such as that of the request
//! body.

use std::ffi::c_void;
use std::ptr::{fn_addr_eq, null_mut};

use crate::nginx::core::pool::{OutOfMemory, Pool, is_owned};
use crate::nginx::http::cleanup;
use crate::nginx::http::context_slot::ModuleContext;
use crate::nginx::http::headers_in::Original;
use crate::nginx::sys::{
    ngx_create_pool, ngx_destroy_pool, ngx_log_t, ngx_pool_cleanup_add, ngx_pool_cleanup_file,
    ngx_pool_cleanup_file_t, ngx_pool_cleanup_t, ngx_pool_delete_file, ngx_pool_t,
};

/// Room for the pool's own structures; blocks that it adds to the request's pool are as large.
const SIZE: usize = 1024;

type Handler = unsafe extern "C" fn(*mut c_void);

/// Makes a decoy for the request's pool `real`; `last` is called with `data` after the decoy's
/// other cleanups. The cleanups that are left to `real` log to `log`.
///
/// # Safety
/// `real` must be the pool of a live request, `log` live as long as it, and `last` be safe to call
/// when nginx destroys the decoy.
pub(super) unsafe fn create<C: ModuleContext>(
    real: Pool,
    log: *mut ngx_log_t,
    last: Handler,
    data: *mut c_void,
) -> Result<*mut ngx_pool_t, OutOfMemory> {
    let real = real.as_ptr();
    // SAFETY: `real` is live, the contract of this function, and the decoy is fresh. The lists and
    // blocks of `real` that it gets live as long as `real`.
    unsafe {
        let decoy = ngx_create_pool(SIZE, (*real).log);
        if decoy.is_null() {
            return Err(OutOfMemory);
        }
        let Some(entry) = ngx_pool_cleanup_add(decoy, 0).as_mut() else {
            ngx_destroy_pool(decoy);
            return Err(OutOfMemory);
        };
        entry.handler = Some(last);
        entry.data = data;
        divide::<C>(real, decoy, log);
        (*decoy).current = (*real).current;
        (*decoy).large = (*real).large;
        (*decoy).chain = (*real).chain;
        Ok(decoy)
    }
}

/// Moves the cleanups of `real` that are not to wait to the front of those of `decoy`. The others
/// log to `log`.
///
/// # Safety
/// Both must be live pools, and `log` must live as long as `real`.
unsafe fn divide<C: ModuleContext>(
    real: *mut ngx_pool_t,
    decoy: *mut ngx_pool_t,
    log: *mut ngx_log_t,
) {
    // SAFETY: both pools are live, the contract of this function, and so are the entries of their
    // lists of cleanups.
    unsafe {
        let mut next = (*real).cleanup;
        let (mut kept, mut moved) = (&raw mut (*real).cleanup, null_mut::<ngx_pool_cleanup_t>());
        let mut end = &raw mut moved;
        while let Some(entry) = next.as_mut() {
            next = entry.next;
            if is_file(entry) {
                // nginx has given it the log of the connection, which goes first.
                (*entry.data.cast::<ngx_pool_cleanup_file_t>()).log = log;
            }
            let list = if waits::<C>(entry) { &mut kept } else { &mut end };
            **list = entry;
            *list = &raw mut entry.next;
        }
        *kept = null_mut();
        *end = (*decoy).cleanup;
        (*decoy).cleanup = moved;
    }
}

/// Whether a cleanup is to wait for the request's real end.
fn waits<C: ModuleContext>(entry: &ngx_pool_cleanup_t) -> bool {
    entry.handler.is_none()
        || is_file(entry)
        || is_owned(entry)
        || cleanup::is_share::<C>(entry)
        || cleanup::is_share::<Original>(entry)
}

/// Whether a cleanup closes a file.
fn is_file(entry: &ngx_pool_cleanup_t) -> bool {
    entry.handler.is_some_and(|handler| {
        fn_addr_eq(handler, ngx_pool_cleanup_file as Handler)
            || fn_addr_eq(handler, ngx_pool_delete_file as Handler)
    })
}

/// Gives what `decoy` has got to `real`; nginx frees the rest of it.
///
/// # Safety
/// `decoy` must come from [`create`], for `real`, and must only be destroyed afterwards.
pub(super) unsafe fn merge(decoy: *mut ngx_pool_t, real: *mut ngx_pool_t) {
    // SAFETY: both are live, the contract of this function.
    unsafe {
        (*real).current = (*decoy).current;
        (*real).large = std::mem::replace(&mut (*decoy).large, null_mut());
        (*real).chain = (*decoy).chain;
    }
}

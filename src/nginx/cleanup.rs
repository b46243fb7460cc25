//! What runs when a request ends.

use std::ffi::c_void;

use super::guard;
use super::pool::OutOfMemory;
use super::request::Request;
use super::sys::ngx_http_cleanup_add;

/// Calls `work` when nginx frees the main request of `request`, while its pool still lives.
pub fn on_request_end<F: FnOnce() + 'static>(request: Request, work: F) -> Result<(), OutOfMemory> {
    unsafe extern "C" fn run<F: FnOnce() + 'static>(data: *mut c_void) {
        guard((), || {
            // SAFETY: the pool owns the Option that `on_request_end` put there.
            let work = unsafe { (*data.cast::<Option<F>>()).take() };
            if let Some(work) = work {
                work();
            }
        });
    }
    let slot = request.pool().own(Some(work))?;
    // SAFETY: a live request; the entry is nginx's own structure.
    unsafe {
        let cleanup = ngx_http_cleanup_add(request.as_ptr(), 0).as_mut().ok_or(OutOfMemory)?;
        cleanup.handler = Some(run::<F>);
        cleanup.data = slot.as_ptr().cast();
    }
    Ok(())
}

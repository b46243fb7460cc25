//! What runs when a request ends.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;

use super::guard;
use super::pool::OutOfMemory;
use super::request::Request;
use super::sys::ngx_http_cleanup_add;

/// Calls `work` when nginx frees the main request of `request`, while its pool still lives.
pub fn on_request_end<F: FnOnce() + 'static>(request: Request, work: F) -> Result<(), OutOfMemory> {
    request.own(Once(Cell::new(Some(work))))?.tell_at_end()
}

/// Work to be done once.
struct Once<F>(Cell<Option<F>>);

impl<F: FnOnce()> AtEnd for Once<F> {
    fn at_end(&self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

/// What wants to know that its request ends.
pub trait AtEnd {
    /// nginx frees the main request; its pool still lives.
    fn at_end(&self);
}

/// A value that the pool of `request` owns: it is dropped with that.
pub struct Kept<T> {
    request: Request,
    value: NonNull<T>,
}

impl Request {
    /// Moves `value` into the request's pool.
    pub fn own<T: 'static>(self, value: T) -> Result<Kept<T>, OutOfMemory> {
        Ok(Kept { request: self, value: self.pool().own(value)? })
    }
}

impl<T: AtEnd> Kept<T> {
    /// Calls `at_end` of the value when nginx frees the main request. Used while the request lives.
    pub fn tell_at_end(self) -> Result<(), OutOfMemory> {
        // SAFETY: a live request; the entry is nginx's own structure.
        unsafe {
            let cleanup =
                ngx_http_cleanup_add(self.request.as_ptr(), 0).as_mut().ok_or(OutOfMemory)?;
            cleanup.handler = Some(run::<T>);
            cleanup.data = self.value.as_ptr().cast();
        }
        Ok(())
    }
}

unsafe extern "C" fn run<T: AtEnd>(data: *mut c_void) {
    guard((), || {
        // SAFETY: the value of a `Kept`: nginx destroys the pool, which all requests of the main
        // request share, after these calls.
        unsafe { &*data.cast::<T>() }.at_end();
    });
}

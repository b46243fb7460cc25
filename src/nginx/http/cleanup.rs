//! What runs when a request ends.

use std::ffi::c_void;
use std::iter::successors;
use std::rc::Rc;

use export::callback;

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_cleanup_add, ngx_pool_cleanup_t};

/// A value of which a request's pool has a share.
pub trait SharedWithPool {
    /// nginx frees the main request; its pool still lives. Called only after
    /// [`Share::tell_at_end`].
    fn at_end(&self);

    /// The pool is destroyed, and gives up its share.
    fn let_go(self: Rc<Self>);
}

/// The share that a request's pool has of a value.
pub struct Share<T> {
    request: Request,
    value: *const T,
}

impl Request {
    /// Gives the request's pool a share of `value`.
    #[inline(always)]
    pub fn share<T: SharedWithPool + 'static>(self, value: Rc<T>) -> Result<Share<T>, OutOfMemory> {
        let shared = Rc::as_ptr(&value);
        // SAFETY: the handler releases the share that is given up here, once the pool has been told of it.
        unsafe { self.pool().call_at_end(let_go::<T>, shared.cast_mut().cast()) }?;
        let _ = Rc::into_raw(value);
        Ok(Share { request: self, value: shared })
    }
}

/// Whether `entry` of a pool's list of cleanups is a share of a `T`.
pub(super) fn is_share<T: SharedWithPool + 'static>(entry: &ngx_pool_cleanup_t) -> bool {
    type Handler = unsafe extern "C" fn(*mut c_void);
    entry.handler.is_some_and(|now| std::ptr::fn_addr_eq(now, let_go::<T> as Handler))
}

/// The values of which the pool of `request` has a share, the last one first.
pub(super) fn shares<T: SharedWithPool + 'static>(request: Request) -> impl Iterator<Item = Rc<T>> {
    // SAFETY: a live request has a live pool, with nginx's list of its cleanups.
    let first = unsafe { (*request.get().pool).cleanup.as_ref() };
    // SAFETY: each entry's next one is null or in the same list.
    let entries = successors(first, |entry| unsafe { entry.next.as_ref() });
    entries.filter(|entry| is_share::<T>(entry)).filter_map(|entry| {
        let value = entry.data.cast_const().cast::<T>();
        // SAFETY: the entry's handler is `let_go::<T>`, so its data is what `Request::share` put
        // there: an Rc's value, which lives at least until nginx calls the entry.
        (!value.is_null()).then(|| unsafe {
            Rc::increment_strong_count(value);
            Rc::from_raw(value)
        })
    })
}

impl<T: SharedWithPool> Share<T> {
    /// Has `at_end` of the value called when nginx frees the main request. To be called while the
    /// request lives.
    pub fn tell_at_end(self) -> Result<(), OutOfMemory> {
        // SAFETY: a live request; the entry is nginx's own structure in its pool, and ours to fill.
        unsafe {
            let cleanup = ngx_http_cleanup_add(self.request.as_ptr(), 0);
            let cleanup = cleanup.as_mut().ok_or(OutOfMemory)?;
            cleanup.handler = Some(at_end::<T>);
            cleanup.data = self.value.cast_mut().cast();
        }
        Ok(())
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn let_go<T: SharedWithPool>(data: *mut c_void) {
    // SAFETY: nginx calls a pool's cleanup once, with the share that `share` put there.
    unsafe { Rc::from_raw(data.cast_const().cast::<T>()) }.let_go();
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn at_end<T: SharedWithPool>(data: *mut c_void) {
    // SAFETY: the value of a `Share`: nginx destroys the pool, which the main request has in
    // common with its subrequests, only after these calls.
    unsafe { &*data.cast_const().cast::<T>() }.at_end();
}

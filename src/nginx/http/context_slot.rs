//! This module's slot in nginx's array of module contexts of a request.
//!
//! nginx clears it on internal redirects and when it makes an error page in the middle of an output
//! call. So the slot is one way to find the context, but does not own it.

use std::ptr::null;
use std::rc::Rc;

use crate::nginx::core::module::module;
use crate::nginx::http::cleanup::{self, SharedWithPool};
use crate::nginx::http::request::Request;

/// What this module keeps in the slot.
///
/// # Safety
/// It must be the only type that is put there. Each value must be an `Rc`'s, of which the request's
/// pool has a share ([`Request::share`]) from before it is put there until the pool is destroyed.
pub unsafe trait ModuleContext: SharedWithPool + 'static {}

impl Request {
    /// What is in the slot, null for nothing.
    #[inline(always)]
    pub fn context_ptr<T: ModuleContext>(self) -> *const T {
        let slots = self.get().ctx;
        if slots.is_null() {
            return null();
        }
        // SAFETY: nginx sizes `ctx` for every module's index.
        unsafe { (*slots.add(module().ctx_index)).cast_const().cast() }
    }

    /// A share of what is in the slot.
    #[inline(always)]
    pub fn context<T: ModuleContext>(self) -> Option<Rc<T>> {
        let context = self.context_ptr::<T>();
        if context.is_null() {
            return None;
        }
        // SAFETY: an Rc's value, of which the pool has a share: the contract of `ModuleContext`.
        unsafe {
            Rc::increment_strong_count(context);
            Some(Rc::from_raw(context))
        }
    }

    /// The contexts of which the request's pool has a share, the last one first: those that were in
    /// the slot before nginx cleared it, and those of the requests that have the same pool.
    pub fn pooled_contexts<T: ModuleContext>(self) -> impl Iterator<Item = Rc<T>> {
        cleanup::shares(self)
    }

    /// Puts `context`, of which the pool has a share, into the slot.
    pub fn set_context<T: ModuleContext>(self, context: &T) {
        // SAFETY: as in `context_ptr`; a live request has contexts.
        unsafe {
            let slot = self.get().ctx.add(module().ctx_index);
            *slot = std::ptr::from_ref(context).cast_mut().cast();
        }
    }
}

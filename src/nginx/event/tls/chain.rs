//! OpenSSL's lists (`STACK_OF`): a chain of certificates, the names of authorities.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use super::objects::{Certificate, Owned, Result};
use crate::nginx::sys::{
    OPENSSL_STACK, OPENSSL_sk_free, OPENSSL_sk_new_null, OPENSSL_sk_num, OPENSSL_sk_pop,
    OPENSSL_sk_push, OPENSSL_sk_value,
};

/// A list that owns its elements.
pub struct List<T: Owned>(NonNull<OPENSSL_STACK>, PhantomData<T>);

/// An element of a list, which keeps owning it.
pub struct Lent<'a, T: Owned>(ManuallyDrop<T>, PhantomData<&'a T>);

impl<T: Owned> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A certificate, followed by those of its issuers.
pub type Chain = List<Certificate>;

impl<T: Owned> List<T> {
    /// An empty list; `None` without memory.
    pub fn new() -> Option<List<T>> {
        // SAFETY: no arguments; the list is ours.
        NonNull::new(unsafe { OPENSSL_sk_new_null() }).map(|list| List(list, PhantomData))
    }

    /// Takes over a list that [`List::into_raw`] gave away.
    ///
    /// # Safety
    /// `raw` must be null or come from `into_raw` of a list of the same type, and have no other
    /// owner.
    pub unsafe fn from_raw(raw: *mut OPENSSL_STACK) -> Option<List<T>> {
        NonNull::new(raw).map(|list| List(list, PhantomData))
    }

    pub fn into_raw(self) -> *mut OPENSSL_STACK {
        let raw = self.as_ptr();
        std::mem::forget(self);
        raw
    }

    pub fn as_ptr(&self) -> *mut OPENSSL_STACK {
        self.0.as_ptr()
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) -> std::result::Result<(), T> {
        // SAFETY: a live list of such elements.
        match unsafe { OPENSSL_sk_push(self.as_ptr(), element.as_ptr().cast_const().cast()) } {
            count if count > 0 => {
                element.into_ptr();
                Ok(())
            }
            _ => Err(element),
        }
    }

    fn len(&self) -> c_int {
        // SAFETY: a live list.
        unsafe { OPENSSL_sk_num(self.as_ptr()) }
    }

    pub fn iter(&self) -> impl Iterator<Item = Result<Lent<'_, T>>> {
        (0..self.len()).map(|index| {
            // SAFETY: a live list of such elements, and an index in it. The reference stays the
            // list's: what is lent is not dropped, and does not outlive the list.
            let element = unsafe { T::from_ptr(OPENSSL_sk_value(self.as_ptr(), index).cast()) };
            let lent = |element| Lent(ManuallyDrop::new(element), PhantomData);
            element.map(lent).ok_or(c"sk_X509_value() failed")
        })
    }
}

impl<T: Owned> Drop for List<T> {
    fn drop(&mut self) {
        // SAFETY: our list, which owns its elements: each is taken out and dropped.
        unsafe {
            while self.len() > 0 {
                drop(T::from_ptr(OPENSSL_sk_pop(self.as_ptr()).cast()));
            }
            OPENSSL_sk_free(self.as_ptr());
        }
    }
}

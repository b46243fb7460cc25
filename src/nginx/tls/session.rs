//! Sessions of TLS connections, which later connections to the same server may take up again.

use std::ptr::NonNull;

use crate::nginx::sys::{SSL_SESSION, SSL_SESSION_free};

/// A share in a session: dropping gives it up.
pub struct Session(NonNull<SSL_SESSION>);

impl Session {
    /// Takes a share over; none for a null pointer.
    ///
    /// # Safety
    /// `session` must be null, or a live session whose share is the caller's to give.
    pub unsafe fn from_raw(session: *mut SSL_SESSION) -> Option<Session> {
        NonNull::new(session).map(Session)
    }

    pub fn as_ptr(&self) -> *mut SSL_SESSION {
        self.0.as_ptr()
    }

    /// Gives the share to whoever gets the pointer.
    pub fn into_raw(self) -> *mut SSL_SESSION {
        let session = self.as_ptr();
        std::mem::forget(self);
        session
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the share is ours, and given up once.
        unsafe { SSL_SESSION_free(self.as_ptr()) }
    }
}

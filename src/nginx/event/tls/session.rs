//! Sessions of TLS connections, which later connections to the same server may resume.

use std::ffi::{c_long, c_uint};
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

use super::objects::clearing_errors;
use super::pem::encode;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    SSL_SESSION, SSL_SESSION_free, SSL_SESSION_get_id, SSL_SESSION_is_resumable,
    SSL_SESSION_up_ref, d2i_SSL_SESSION, i2d_SSL_SESSION,
};

/// A session that somebody else has a share in.
#[derive(Clone, Copy)]
pub struct BorrowedSession<'a>(NonNull<SSL_SESSION>, PhantomData<&'a Session>);

impl BorrowedSession<'_> {
    /// None for a null pointer.
    ///
    /// # Safety
    /// `session` must be null, or live as long as the value.
    pub unsafe fn from_ptr(session: *mut SSL_SESSION) -> Option<Self> {
        NonNull::new(session).map(|session| BorrowedSession(session, PhantomData))
    }

    pub fn as_ptr(self) -> *mut SSL_SESSION {
        self.0.as_ptr()
    }
}

/// The address of a session whose reference has been given away: it is valid as long as the new
/// owner keeps that.
#[derive(Clone, Copy)]
pub struct GivenSession(NonNull<SSL_SESSION>);

impl GivenSession {
    pub fn as_ptr(self) -> *mut SSL_SESSION {
        self.0.as_ptr()
    }
}

/// A reference to a session, released on drop.
pub struct Session(NonNull<SSL_SESSION>);

impl Session {
    /// Takes ownership of a reference; `None` for a null pointer.
    ///
    /// # Safety
    /// `session` must be null, or a live session with a reference that becomes this value's.
    pub unsafe fn from_raw(session: *mut SSL_SESSION) -> Option<Session> {
        NonNull::new(session).map(Session)
    }

    pub fn as_ptr(&self) -> *mut SSL_SESSION {
        self.0.as_ptr()
    }

    /// Gives the reference away with the pointer.
    pub fn into_raw(self) -> *mut SSL_SESSION {
        let session = self.as_ptr();
        std::mem::forget(self);
        session
    }

    /// Gives the reference away with the address in what this returns.
    pub fn give(self) -> GivenSession {
        let given = GivenSession(self.0);
        std::mem::forget(self);
        given
    }

    /// Another reference to a session of OpenSSL's.
    ///
    /// # Safety
    /// `session` must be null or a live session.
    pub unsafe fn share(session: *mut SSL_SESSION) -> Option<Session> {
        // SAFETY: the session is live or null, the contract of this function; the new reference is
        // ours.
        unsafe {
            if session.is_null() || SSL_SESSION_up_ref(session) == 0 {
                return None;
            }
            Session::from_raw(session)
        }
    }

    /// Reads what [`Session::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Session> {
        let len = c_long::try_from(bytes.len()).ok()?;
        let mut at = bytes.as_ptr();
        clearing_errors(|| {
            // SAFETY: the bytes' own length; the session is ours.
            unsafe { Session::from_raw(d2i_SSL_SESSION(null_mut(), &mut at, len)) }.ok_or(())
        })
        .ok()
    }

    /// How many bytes [`Session::encode`] writes; `None` if OpenSSL cannot.
    pub fn encoded_len(&self) -> Option<usize> {
        // SAFETY: a live session.
        let len = unsafe { i2d_SSL_SESSION(self.as_ptr(), null_mut()) };
        usize::try_from(len).ok().filter(|len| *len > 0)
    }

    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        // SAFETY: a live session; `encode` asks for the length first.
        encode(out, |out| unsafe { i2d_SSL_SESSION(self.as_ptr(), out) })
    }

    /// Whether another connection can take it up.
    pub fn is_resumable(&self) -> bool {
        // SAFETY: a live session.
        unsafe { SSL_SESSION_is_resumable(self.as_ptr()) != 0 }
    }

    pub fn id(&self) -> &[u8] {
        let mut len: c_uint = 0;
        // SAFETY: a live session, which keeps its id.
        unsafe { strings::raw(SSL_SESSION_get_id(self.as_ptr(), &mut len), len as usize) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and released once.
        unsafe { SSL_SESSION_free(self.as_ptr()) }
    }
}

//! A client's handshake that waits for Lua code.
//!
//! nginx ends a handshake in which OpenSSL waits for a callback. So while Lua code holds the handshake
//! up, another connection of OpenSSL's stands in for it: one that waits for a client. nginx asks that one
//! whenever there is an event, until the handshake goes on, or nginx does not wait any longer for the
//! client.
//!
//! Invariant: the handshake has one owner, nginx's connection or a [`Parked`]. That also owns the fake request of
//! the code, which uses the handshake's record.

use std::cell::{Cell, UnsafeCell};
use std::mem::replace;
use std::ptr::{NonNull, null_mut, read};

use super::lent::{set_record, take_back};
use super::ssl::Client;
use crate::nginx::http::fake::FakeRequest;
use crate::nginx::sys::{
    BIO_new, BIO_s_mem, SSL, SSL_CTX, SSL_CTX_new, SSL_do_handshake, SSL_free, SSL_new,
    SSL_read_early_data, SSL_set_accept_state, SSL_set_bio, TLS_server_method,
    ngx_ssl_connection_t,
};
use crate::own_thread;

own_thread! {
    /// The context of all stand-ins; null before the first one.
    static CONTEXT: Cell<*mut SSL_CTX> = Cell::new(null_mut());
}

/// A handshake that waits. Dropped, because its connection is gone, it is freed.
pub struct Parked {
    client: Client,
    /// Ours; null once it is nginx's again.
    handshake: *mut SSL,
    /// The fake request of the code, until it is given back.
    request: Option<FakeRequest>,
    /// nginx's record with the handshake, for that request.
    _lent: Box<UnsafeCell<ngx_ssl_connection_t>>,
}

impl Client {
    /// Has a stand-in take the place of the handshake, in a callback of OpenSSL's that is about to tell
    /// that it waits. `request` is the fake request that uses the connection; without memory, it is
    /// returned.
    pub fn park(self, request: FakeRequest) -> Result<Parked, FakeRequest> {
        // SAFETY: a live connection in its handshake; the fake request gives the copy of its record back
        // before the value is dropped.
        unsafe {
            let record = (*self.as_ptr()).ssl;
            let Some(stand_in) = stand_in((*record).try_early_data() != 0) else {
                return Err(request);
            };
            let lent = Box::new(UnsafeCell::new(read(record)));
            set_record(&request, lent.get());
            let handshake = replace(&mut (*record).connection, stand_in.as_ptr());
            Ok(Parked { client: self, handshake, request: Some(request), _lent: lent })
        }
    }
}

impl Parked {
    /// Returns the fake request, which uses the handshake no more.
    pub fn give_back(&mut self) -> Option<FakeRequest> {
        self.request.take().inspect(take_back)
    }

    /// The handshake takes its place again. Returns the fake request, as [`Parked::give_back`].
    pub fn resume(mut self) -> Option<FakeRequest> {
        // SAFETY: the connection is live: its pool owns the value. Its TLS is the stand-in.
        unsafe {
            if let Some(record) = (*self.client.as_ptr()).ssl.as_mut() {
                let handshake = replace(&mut self.handshake, null_mut());
                SSL_free(replace(&mut record.connection, handshake));
            }
        }
        self.give_back()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        // Nobody has asked for the request: it stays.
        let _ = self.give_back();
        // SAFETY: ours, or null; nginx has freed the stand-in.
        unsafe { SSL_free(self.handshake) }
    }
}

/// A connection that waits for a client for ever. With `early`, nginx asks it for early data first.
fn stand_in(early: bool) -> Option<NonNull<SSL>> {
    let context = context()?;
    // SAFETY: the live context; the connection is ours, and the two shares of the BIO are its.
    unsafe {
        let ssl = NonNull::new(SSL_new(context.as_ptr()))?;
        // An empty one tells to try again.
        let nothing = BIO_new(BIO_s_mem());
        if nothing.is_null() {
            SSL_free(ssl.as_ptr());
            return None;
        }
        SSL_set_bio(ssl.as_ptr(), nothing, nothing);
        SSL_set_accept_state(ssl.as_ptr());
        // It waits from now on, and nginx sees that.
        if early {
            let (mut byte, mut len) = (0u8, 0);
            SSL_read_early_data(ssl.as_ptr(), (&raw mut byte).cast(), 1, &mut len);
        } else {
            SSL_do_handshake(ssl.as_ptr());
        }
        Some(ssl)
    }
}

fn context() -> Option<NonNull<SSL_CTX>> {
    if CONTEXT.get().is_null() {
        // SAFETY: OpenSSL's own method; the context lives as long as the process.
        CONTEXT.set(unsafe { SSL_CTX_new(TLS_server_method()) });
    }
    NonNull::new(CONTEXT.get())
}

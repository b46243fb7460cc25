//! Tries that wait for the code that names their server.
//!
//! nginx asks for a server and wants one at once. So a try that waits gets a connection without
//! another side, and nginx waits for it as for one that is being made, for `*_connect_timeout` at
//! most. Once the server is known, that connection fails, in silence: nginx makes the next try,
//! asks again, and gets the server. The try that was held is taken back: it counts for nothing.

use std::ffi::c_void;
use std::ptr::{addr_of_mut, null_mut};

use export::callback;

use super::record::{Peer, PeerData};
use super::tries::Balancer;
use crate::nginx::Status;
use crate::nginx::core::log::Log;
use crate::nginx::event::alarm;
use crate::nginx::sys::{
    NGX_HTTP_UPSTREAM_FT_ERROR, ngx_close_connection, ngx_connection_t, ngx_create_pool,
    ngx_get_connection, ngx_http_upstream_state_t, ngx_log_t, ngx_peer_connection_t,
    ngx_pool_cleanup_add, ngx_str_t, ngx_uint_t,
};

/// What is known of a try that waits. All zero: none does.
#[repr(C)]
pub(super) struct Hold {
    /// The connection that nginx waits for; null once nginx has closed it.
    connection: *mut ngx_connection_t,
    /// Whether the code has ended, and nginx is to ask again.
    is_decided: bool,
    /// How it has ended.
    verdict: isize,
    /// Whether the settings' `next_upstream` has been added to, and what it was before that.
    has_widened: bool,
    next_upstream: ngx_uint_t,
    /// Where the failure of the connection is logged: nowhere.
    silence: ngx_log_t,
    /// The name of a server that is not known yet.
    no_name: ngx_str_t,
}

impl Hold {
    /// Whether a try waits: until it is decided, nginx's count of the tries left is one too low.
    pub(super) fn is_on(&self) -> bool {
        !self.connection.is_null()
    }
}

impl Peer {
    /// Has nginx wait for the try's server, until [`Peer::decide`].
    ///
    /// # Safety
    /// `pc` must be the connection record that nginx asks with.
    pub(super) unsafe fn hold<B: Balancer>(self, pc: *mut ngx_peer_connection_t) -> Status {
        // SAFETY: `pc` is live, the contract of this function; the data live in the request's pool,
        // longer than the connection.
        unsafe {
            let log = Log::from_ptr((*pc).log);
            let Some(c) = connection(log).as_mut() else { return Status::ERROR };
            c.pool = ngx_create_pool(128, log.as_ptr());
            let cleanup = match c.pool.is_null() {
                true => null_mut(),
                false => ngx_pool_cleanup_add(c.pool, 0),
            };
            let Some(cleanup) = cleanup.as_mut() else {
                close(c);
                return Status::ERROR;
            };
            cleanup.handler = Some(closed::<B>);
            cleanup.data = self.as_ptr().cast();
            let hold = self.hold_state();
            (*hold).connection = c;
            (*pc).connection = c;
            (*pc).name = addr_of_mut!((*hold).no_name);
            (*pc).set_cached(0);
            // If the code takes too long, this counts as a try that has failed.
            (*pc).tries = (*pc).tries.saturating_sub(1);
            self.be_a_stranger();
        }
        Status::AGAIN
    }

    fn hold_state(self) -> *mut Hold {
        // SAFETY: the data live in the request's pool.
        unsafe { addr_of_mut!((*self.as_ptr()).hold) }
    }

    /// The code of the try that waits has ended: nginx asks again, and goes on by `verdict`.
    pub fn decide(self, verdict: Result<(), Status>) {
        let Some(u) = self.upstream() else { return };
        let hold = self.hold_state();
        // SAFETY: the data and the upstream record of a live request; the connection is live while
        // it is held, and nginx has given its events a handler.
        unsafe {
            let c = (*hold).connection;
            if c.is_null() {
                return;
            }
            (*hold).is_decided = true;
            (*hold).verdict = verdict.err().map_or(0, |rc| rc.0);
            (*u).peer.tries += 1;
            if let Some(settings) = self.own_settings() {
                (*hold).has_widened = true;
                (*hold).next_upstream = (*settings).next_upstream;
                (*settings).next_upstream |= NGX_HTTP_UPSTREAM_FT_ERROR as ngx_uint_t;
            }
            (*c).log = addr_of_mut!((*hold).silence);
            alarm::post((*c).write);
        }
    }

    /// What the code has decided since nginx asked last; `None` if it has not run.
    pub(super) fn take_decision(self) -> Option<Result<(), Status>> {
        let hold = self.hold_state();
        // SAFETY: as in `decide`.
        unsafe {
            if !(*hold).is_decided {
                return None;
            }
            (*hold).is_decided = false;
            if (*hold).has_widened {
                (*hold).has_widened = false;
                if let Some(settings) = self.own_settings() {
                    (*settings).next_upstream = (*hold).next_upstream;
                }
            }
            self.forget_held_state();
            let rc = Status((*hold).verdict);
            Some(if rc == Status::OK { Ok(()) } else { Err(rc) })
        }
    }

    /// Takes the held try out of the list of tries: this one has its place.
    ///
    /// # Safety
    /// The last two of the request's states must be those of the held try and of this one.
    unsafe fn forget_held_state(self) {
        let Some(request) = self.request() else { return };
        // SAFETY: nginx's list of a live request's states, the contract of this function.
        unsafe {
            let (Some(u), Some(states)) = (self.upstream(), request.get().upstream_states.as_mut())
            else {
                return;
            };
            if states.nelts < 2 {
                return;
            }
            let all: *mut ngx_http_upstream_state_t = states.elts.cast();
            let held = all.add(states.nelts - 2);
            held.write(held.add(1).read());
            states.nelts -= 1;
            (*u).state = held;
        }
    }
}

/// A connection of nginx's with a descriptor that is no socket, so that it fails when nginx looks
/// at it; null if nginx or the system has none left.
fn connection(log: Log) -> *mut ngx_connection_t {
    // SAFETY: a fresh descriptor, which the connection gets, or which is closed.
    unsafe {
        let descriptor = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        if descriptor == -1 {
            return null_mut();
        }
        let c = ngx_get_connection(descriptor, log.as_ptr());
        let Some(connection) = c.as_mut() else {
            libc::close(descriptor);
            return null_mut();
        };
        connection.log = log.as_ptr();
        (*connection.read).log = log.as_ptr();
        (*connection.write).log = log.as_ptr();
        connection
    }
}

/// Closes a connection that has not been given to nginx.
///
/// # Safety
/// `c` must come from [`connection`], and not be used afterwards.
unsafe fn close(c: &mut ngx_connection_t) {
    // SAFETY: the connection is a fresh one of `connection`, and nothing else refers to it: the
    // contract of this function.
    unsafe {
        if !c.pool.is_null() {
            crate::nginx::sys::ngx_destroy_pool(c.pool);
        }
        ngx_close_connection(c);
    }
}

/// nginx closes the connection of a held try: the try is decided, or has taken too long, or the
/// request ends.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn closed<B: Balancer>(data: *mut c_void) {
    // SAFETY: the data that `hold` registered, those of `init_peer`, which live longer than the
    // connection.
    unsafe {
        let Some(peer) = Peer::from_data(data) else { return };
        let data: *mut PeerData = peer.as_ptr();
        (*data).hold.connection = null_mut();
        if !(*data).hold.is_decided {
            B::cancel(peer);
        }
    }
}

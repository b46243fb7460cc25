//! What a request's tries at one upstream have in common, in its pool.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

use super::hold::Hold;
use super::keepalive::Keepalive;
use crate::nginx::http::configuration::{Scope, Structure};
use crate::nginx::sys::{
    ngx_addr_t, ngx_event_notify_peer_pt, ngx_http_request_t, ngx_http_upstream_conf_t,
    ngx_http_upstream_rr_peer_data_t, ngx_http_upstream_s, ngx_http_upstream_srv_conf_t,
    ngx_peer_connection_t, ngx_str_t, ngx_uint_t, sockaddr, socklen_t,
};
use crate::nginx::{Request, module};

/// A request's tries at one upstream; copies are the same tries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(NonNull<PeerData>);

/// The data that nginx keeps for us between the tries.
#[repr(C)]
pub(super) struct PeerData {
    /// Round robin's own data, which it finds through the same pointer: it must stay first.
    round_robin: ngx_http_upstream_rr_peer_data_t,
    /// What round robin's data names as the server of the try where code has named one. All zero:
    /// Angie takes it for a server of a list that has not changed.
    #[cfg(angie)]
    stranger: crate::nginx::sys::ngx_http_upstream_rr_peer_t,
    pub(super) upstream: *mut ngx_http_upstream_srv_conf_t,
    pub(super) request: *mut ngx_http_request_t,
    /// The try that waits for its server.
    pub(super) hold: Hold,
    pub(super) more_tries: i64,
    pub(super) total_tries: i64,
    /// The named server; null if round robin chooses.
    pub(super) address: *mut sockaddr,
    pub(super) address_len: socklen_t,
    pub(super) name: *mut ngx_str_t,
    /// The named server's host, empty where none was given.
    pub(super) host: ngx_str_t,
    /// Where connections come from; null where the code has not said.
    pub(super) local: *mut ngx_addr_t,
    /// Whether the named server's connection may rest afterwards, and how.
    pub(super) may_rest: bool,
    pub(super) keepalive: Keepalive,
    /// What tells its connection from others; empty before it is known.
    pub(super) key: ngx_str_t,
    /// What nginx takes for the name in a handshake.
    #[cfg(ngx_feature = "http_ssl")]
    pub(super) tls_name: ngx_str_t,
    /// What round robin wants to know of its servers; none in most nginxes.
    pub(super) notify: ngx_event_notify_peer_pt,
    /// nginx's NGX_PEER_* bits for the last named server; 0 before.
    pub(super) last_state: ngx_uint_t,
    /// The request's own copy of its upstream settings; null before there is one.
    pub(super) settings: *mut ngx_http_upstream_conf_t,
}

impl Peer {
    /// The tries whose data nginx passes to a callback.
    ///
    /// # Safety
    /// `data` must be null, or what `init_peer` has given nginx, and live as long as the value is
    /// used.
    pub(super) unsafe fn from_data(data: *mut c_void) -> Option<Peer> {
        NonNull::new(data.cast()).map(Peer)
    }

    /// The request's upstream record.
    pub(super) fn upstream(self) -> Option<*mut ngx_http_upstream_s> {
        self.request().and_then(super::of).map(NonNull::as_ptr)
    }

    pub(super) fn as_ptr(self) -> *mut PeerData {
        self.0.as_ptr()
    }

    /// The request, while nginx asks for its server.
    pub fn request(self) -> Option<Request> {
        // SAFETY: the data live in the request's pool.
        unsafe { Request::from_ptr((*self.as_ptr()).request) }
    }

    /// This module's structure of the `upstream` block.
    pub fn server_conf<T: Structure>(&self) -> &T {
        const { assert!(matches!(T::SCOPE, Scope::Server), "a block has the server's level") };
        // SAFETY: an explicit block (others have no balancer) has a slot for every module, with a
        // `T` in the pool (the contract of `Structure`) of the cycle, which lives
        // as long as the request.
        unsafe { &*(*(*(*self.as_ptr()).upstream).srv_conf.add(module().ctx_index)).cast() }
    }

    pub(super) fn begin_try(self) {
        // SAFETY: the data live in the request's pool.
        let data = unsafe { &mut *self.as_ptr() };
        data.address = null_mut();
        data.address_len = 0;
        data.host = ngx_str_t::empty();
        data.key = ngx_str_t::empty();
        data.may_rest = false;
        data.more_tries = 0;
        data.total_tries += 1;
    }

    pub(super) fn is_named(self) -> bool {
        // SAFETY: the data live in the request's pool.
        unsafe { !(*self.as_ptr()).address.is_null() && (*self.as_ptr()).address_len != 0 }
    }

    /// Has the try connect from where the code of this or an earlier one said.
    ///
    /// # Safety
    /// As for [`Peer::connect_to_named`].
    pub(super) unsafe fn bind(self, pc: *mut ngx_peer_connection_t) {
        // SAFETY: `pc` is the live connection record, the contract of this function; the address
        // lives in the request's pool.
        unsafe {
            let local = (*self.as_ptr()).local;
            if !local.is_null() {
                (*pc).local = local;
            }
        }
    }

    /// Angie looks at the server of each try, where the block has a zone: this gives it one, where
    /// the server is none of the block's. Does nothing for other nginxes.
    pub(super) fn be_a_stranger(self) {
        #[cfg(angie)]
        // SAFETY: the data live in the request's pool.
        unsafe {
            let data = &mut *self.as_ptr();
            data.round_robin.current = &raw mut data.stranger;
        }
    }

    /// # Safety
    /// `pc` must be the connection record that nginx asks with.
    pub(super) unsafe fn connect_to_named(self, pc: *mut ngx_peer_connection_t) {
        // SAFETY: `pc` is the live connection record, the contract of this function; the address
        // lives in the request's pool, round robin's list as long as the configuration.
        unsafe {
            let data = &mut *self.as_ptr();
            self.be_a_stranger();
            (*pc).sockaddr = data.address;
            (*pc).socklen = data.address_len;
            (*pc).set_cached(0);
            (*pc).connection = null_mut();
            (*pc).name = data.name;
            // nginx does not count tries of a list with a single server, but this one is not the
            // only one any more.
            let peers = data.round_robin.peers;
            if (*peers).single() != 0 {
                (*peers).set_single(0);
            }
            let tries = i64::try_from((*pc).tries).unwrap_or(i64::MAX);
            let tries = tries.saturating_add(data.more_tries).max(0);
            (*pc).tries = tries as ngx_uint_t;
        }
        self.set_tls_name();
    }
}

//! The tries of a request at one upstream: nginx asks for a server, connects, and tells how it went.

use std::ffi::c_void;
use std::ptr::{NonNull, addr_of, addr_of_mut, null_mut};

use super::idle::IdleConnections;
use super::keepalive::Keepalive;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::log::Log;
use crate::nginx::http::configuration::{Scope, Structure};
use crate::nginx::sys::{
    NGX_HTTP_UPSTREAM_CREATE, NGX_HTTP_UPSTREAM_DOWN, NGX_HTTP_UPSTREAM_FAIL_TIMEOUT,
    NGX_HTTP_UPSTREAM_MAX_FAILS, NGX_HTTP_UPSTREAM_WEIGHT, ngx_addr_t, ngx_conf_t,
    ngx_http_conf_ctx_t, ngx_http_request_t, ngx_http_upstream_conf_t,
    ngx_http_upstream_free_round_robin_peer, ngx_http_upstream_get_round_robin_peer,
    ngx_http_upstream_init_round_robin, ngx_http_upstream_init_round_robin_peer,
    ngx_http_upstream_module, ngx_http_upstream_rr_peer_data_t, ngx_http_upstream_s,
    ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_peer_connection_t, ngx_str_t, ngx_uint_t,
    sockaddr, socklen_t,
};
use crate::nginx::{Level, Request, Status, guard, module};
use crate::ngx_debug;

/// Code that chooses the server of each try of an `upstream` block.
pub trait Balancer: 'static {
    /// Names the try's server with [`Peer::set_address`], or leaves it to round robin.
    ///
    /// `Err` means that there is no try: `NGX_ERROR` ends the request with a 500, `NGX_BUSY` with a
    /// 502, and `NGX_DECLINED` counts as a failed try.
    fn choose(peer: Peer) -> Result<(), Status>;

    /// The connections of the try's `upstream` block that rest.
    fn idle(peer: Peer) -> &'static IdleConnections;
}

/// A request's tries at one upstream; copies are the same tries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(NonNull<PeerData>);

/// The data that nginx keeps for us between the tries.
#[repr(C)]
pub(super) struct PeerData {
    /// Round robin's own data, which it finds through the same pointer: it must stay first.
    round_robin: ngx_http_upstream_rr_peer_data_t,
    upstream: *mut ngx_http_upstream_srv_conf_t,
    request: *mut ngx_http_request_t,
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
    /// nginx's NGX_PEER_* bits for the last named server; 0 before.
    pub(super) last_state: ngx_uint_t,
    /// The request's own copy of its upstream settings; null before there is one.
    pub(super) settings: *mut ngx_http_upstream_conf_t,
}

/// Makes `B` the balancer of the `upstream` block that is being read.
pub fn install<B: Balancer>(cf: Conf) {
    // SAFETY: within `upstream`, the parser's ctx is nginx's, and its upstream module's slot is
    // the block's configuration.
    unsafe {
        let http: *mut ngx_http_conf_ctx_t = cf.get().ctx.cast();
        let index = (*addr_of!(ngx_http_upstream_module)).ctx_index;
        let us: *mut ngx_http_upstream_srv_conf_t = (*(*http).srv_conf.add(index)).cast();
        if (*us).peer.init_upstream.is_some() {
            cf.log(Level::Warn, b"load balancing method redefined");
        }
        (*us).peer.init_upstream = Some(init_upstream::<B>);
        (*us).flags = (NGX_HTTP_UPSTREAM_CREATE
            | NGX_HTTP_UPSTREAM_WEIGHT
            | NGX_HTTP_UPSTREAM_MAX_FAILS
            | NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
            | NGX_HTTP_UPSTREAM_DOWN) as ngx_uint_t;
    }
}

/// Called at the end of the configuration: lets round robin set up its servers.
unsafe extern "C" fn init_upstream<B: Balancer>(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx passes its parser and the block's configuration.
    unsafe {
        if ngx_http_upstream_init_round_robin(cf, us) != Status::OK.0 {
            return Status::ERROR.0;
        }
        (*us).peer.init = Some(init_peer::<B>);
    }
    Status::OK.0
}

/// Called when a request reaches the upstream.
unsafe extern "C" fn init_peer<B: Balancer>(
    r: *mut ngx_http_request_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    guard(Status::ERROR.0, || {
        // SAFETY: nginx passes a live request with an upstream, and the block's configuration;
        // zero is a valid PeerData.
        unsafe {
            let Some(request) = Request::from_ptr(r) else { return Status::ERROR.0 };
            let Ok(mut data) = request.pool().zeroed::<PeerData>() else { return Status::ERROR.0 };
            data.as_mut().upstream = us;
            data.as_mut().request = r;
            let pc = addr_of_mut!((*(*r).upstream).peer);
            (*pc).data = data.as_ptr().cast();
            if ngx_http_upstream_init_round_robin_peer(r, us) != Status::OK.0 {
                return Status::ERROR.0;
            }
            (*pc).get = Some(get_peer::<B>);
            (*pc).free = Some(free_peer::<B>);
            #[cfg(ngx_feature = "http_ssl")]
            {
                data.as_mut().tls_name = (*(*r).upstream).ssl_name;
                (*pc).set_session = Some(super::tls::set_session);
                (*pc).save_session = Some(super::tls::save_session);
            }
        }
        Status::OK.0
    })
}

/// Called at the start of each try, to choose the server.
unsafe extern "C" fn get_peer<B: Balancer>(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
) -> ngx_int_t {
    guard(Status::ERROR.0, || {
        let Some(peer) = Peer::from_data(data) else { return Status::ERROR.0 };
        // SAFETY: nginx passes the request's connection record, and the data of `init_peer`.
        unsafe {
            let log = Log::from_ptr((*pc).log);
            ngx_debug!(log, "lua balancer peer, tries: {}", (*pc).tries);
            peer.begin_try();
            if let Err(rc) = B::choose(peer) {
                if rc == Status::DECLINED {
                    // nginx would not free a peer, and so not count the try: it would try for ever.
                    (*pc).set_cached(0);
                    (*pc).tries = (*pc).tries.saturating_sub(1);
                }
                return rc.0;
            }
            peer.bind(pc);
            if !peer.is_named() {
                return ngx_http_upstream_get_round_robin_peer(pc, data);
            }
            peer.connect_to_named(pc);
            match peer.take_resting(pc, B::idle(peer)) {
                Ok(true) => Status::DONE.0,
                Ok(false) => Status::OK.0,
                Err(_) => Status::ERROR.0,
            }
        }
    })
}

/// Called when a try has ended.
unsafe extern "C" fn free_peer<B: Balancer>(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
    state: ngx_uint_t,
) {
    guard((), || {
        let Some(peer) = Peer::from_data(data) else { return };
        // SAFETY: as for `get_peer`.
        unsafe {
            let log = Log::from_ptr((*pc).log);
            ngx_debug!(log, "lua balancer free peer, tries: {}", (*pc).tries);
            if peer.is_named() {
                (*peer.as_ptr()).last_state = state;
                (*pc).tries = (*pc).tries.saturating_sub(1);
                // nginx gives back a try whose connection had rested: here, each one counts.
                (*pc).set_cached(0);
                peer.let_rest(pc, state, B::idle(peer));
            } else {
                ngx_http_upstream_free_round_robin_peer(pc, data, state);
            }
        }
    });
}

impl Peer {
    /// The tries of what nginx keeps for us.
    pub(super) fn from_data(data: *mut c_void) -> Option<Peer> {
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
    pub fn server_conf<T: Structure>(self) -> &'static T {
        const { assert!(matches!(T::SCOPE, Scope::Server), "a block has the server's level") };
        // SAFETY: an explicit block (others have no balancer) has a slot for every module, with a
        // `T` in the cycle's pool: the contract of `Structure`.
        unsafe { &*(*(*(*self.as_ptr()).upstream).srv_conf.add(module().ctx_index)).cast() }
    }

    fn begin_try(self) {
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
        // SAFETY: as in `begin_try`.
        unsafe { !(*self.as_ptr()).address.is_null() && (*self.as_ptr()).address_len != 0 }
    }

    /// Has the try connect from where the code of this or an earlier one said.
    ///
    /// # Safety
    /// As for [`Peer::connect_to_named`].
    unsafe fn bind(self, pc: *mut ngx_peer_connection_t) {
        // SAFETY: the caller's; the address lives in the request's pool.
        unsafe {
            let local = (*self.as_ptr()).local;
            if !local.is_null() {
                (*pc).local = local;
            }
        }
    }

    /// # Safety
    /// `pc` must be the connection record that nginx asks with.
    unsafe fn connect_to_named(self, pc: *mut ngx_peer_connection_t) {
        // SAFETY: `pc` is the live connection record, the contract of this function; the address
        // lives in the request's pool, round robin's list as long as the configuration.
        unsafe {
            let data = &*self.as_ptr();
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
        #[cfg(ngx_feature = "http_ssl")]
        self.set_tls_name();
    }
}

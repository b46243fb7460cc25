//! The tries of a request at one upstream: nginx asks for a server, connects, and tells how it
//! went.

use std::ffi::c_void;
use std::ptr::{addr_of, addr_of_mut};

use export::callback;

use super::idle::IdleConnections;
use super::record::{Peer, PeerData};
use super::{default_keepalive, placeholder};
use crate::nginx::core::conf::Conf;
use crate::nginx::core::log::Log;
use crate::nginx::sys::{
    NGX_HTTP_UPSTREAM_CREATE, NGX_HTTP_UPSTREAM_DOWN, NGX_HTTP_UPSTREAM_FAIL_TIMEOUT,
    NGX_HTTP_UPSTREAM_MAX_FAILS, NGX_HTTP_UPSTREAM_WEIGHT, ngx_conf_t, ngx_http_conf_ctx_t,
    ngx_http_request_t, ngx_http_upstream_free_round_robin_peer,
    ngx_http_upstream_get_round_robin_peer, ngx_http_upstream_init_round_robin,
    ngx_http_upstream_init_round_robin_peer, ngx_http_upstream_module,
    ngx_http_upstream_srv_conf_t, ngx_int_t, ngx_peer_connection_t, ngx_uint_t,
};
use crate::nginx::{Level, Request, Status};
use crate::ngx_debug;

/// Code that chooses the server of each try of an `upstream` block.
pub trait Balancer: 'static {
    /// Names the try's server with [`Peer::set_address`], or leaves it to round robin.
    ///
    /// `Err` means that there is no try: `NGX_ERROR` ends the request with a 500, `NGX_BUSY` with a
    /// 502, and `NGX_DECLINED` counts as a failed try.
    fn choose(peer: Peer) -> Result<Chosen, Status>;

    /// nginx waits no longer for the server: the code is to end.
    fn cancel(peer: Peer);

    /// The connections of the try's `upstream` block that rest.
    fn idle(peer: &Peer) -> &IdleConnections;
}

/// Whether a try's server is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chosen {
    Now,
    /// [`Peer::decide`] tells.
    Later,
}

/// Makes `B` the balancer of the `upstream` block that is being read.
pub fn install<B: Balancer>(cf: Conf) {
    // SAFETY: within `upstream`, the parser's ctx is nginx's, and its upstream module's slot is
    // the block's configuration.
    unsafe {
        let http: *mut ngx_http_conf_ctx_t = cf.get().ctx.cast();
        let index = (*addr_of!(ngx_http_upstream_module)).ctx_index;
        let us: *mut ngx_http_upstream_srv_conf_t = (*(*http).srv_conf.add(index)).cast();
        if placeholder::add(cf, us).is_err() {
            cf.log(Level::Emerg, b"no memory for the servers of an upstream");
        }
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
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn init_upstream<B: Balancer>(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx passes its parser and the block's configuration.
    unsafe {
        placeholder::remove_beside_others(us);
        if ngx_http_upstream_init_round_robin(cf, us) != Status::OK.0 {
            return Status::ERROR.0;
        }
        if default_keepalive::turn_off(cf, us).is_err() {
            return Status::ERROR.0;
        }
        (*us).peer.init = Some(init_peer::<B>);
    }
    Status::OK.0
}

/// Called when a request reaches the upstream.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn init_peer<B: Balancer>(
    r: *mut ngx_http_request_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
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
        data.as_mut().notify = (*pc).notify;
        (*pc).notify = (*pc).notify.and(Some(notify));
        #[cfg(ngx_feature = "http_ssl")]
        {
            data.as_mut().tls_name = (*(*r).upstream).ssl_name;
            (*pc).set_session = Some(super::tls::set_session);
            (*pc).save_session = Some(super::tls::save_session);
        }
    }
    Status::OK.0
}

/// Called at the start of each try, to choose the server.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn get_peer<B: Balancer>(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
) -> ngx_int_t {
    // SAFETY: nginx passes the request's connection record, and the data of `init_peer`.
    unsafe {
        let Some(peer) = Peer::from_data(data) else { return Status::ERROR.0 };
        let log = Log::from_ptr((*pc).log);
        ngx_debug!(log, "lua balancer peer, tries: {}", (*pc).tries);
        let decision = peer.take_decision().unwrap_or_else(|| {
            peer.begin_try();
            match B::choose(peer)? {
                Chosen::Now => Ok(()),
                Chosen::Later => Err(peer.hold::<B>(pc)),
            }
        });
        if let Err(rc) = decision {
            if rc == Status::DECLINED {
                // nginx would not free a peer, and so not count the try: it would try for ever.
                (*pc).set_cached(0);
                (*pc).tries = (*pc).tries.saturating_sub(1);
            }
            return rc.0;
        }
        peer.bind(pc);
        if !peer.is_named() {
            if placeholder::is_first((*peer.as_ptr()).upstream) {
                log.write(Level::Err, b"lua balancer: no peer set");
                return Status::ERROR.0;
            }
            return ngx_http_upstream_get_round_robin_peer(pc, data);
        }
        peer.connect_to_named(pc);
        match peer.take_resting(pc, B::idle(&peer)) {
            Ok(true) => Status::DONE.0,
            Ok(false) => Status::OK.0,
            Err(_) => Status::ERROR.0,
        }
    }
}

/// Called in the course of a try; passed on to round robin for its own servers only.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn notify(pc: *mut ngx_peer_connection_t, data: *mut c_void, what: ngx_uint_t) {
    // SAFETY: as in `get_peer`; round robin's own function, with its data.
    unsafe {
        let Some(peer) = Peer::from_data(data) else { return };
        if let Some(inner) = (*peer.as_ptr()).notify
            && !peer.is_named()
        {
            inner(pc, data, what);
        }
    }
}

/// Called when a try has ended.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn free_peer<B: Balancer>(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
    state: ngx_uint_t,
) {
    // SAFETY: as in `get_peer`.
    unsafe {
        let Some(peer) = Peer::from_data(data) else { return };
        let log = Log::from_ptr((*pc).log);
        ngx_debug!(log, "lua balancer free peer, tries: {}", (*pc).tries);
        if peer.is_named() {
            (*peer.as_ptr()).last_state = state;
            (*pc).tries = (*pc).tries.saturating_sub(1);
            // nginx gives back a try whose connection had rested: here, each one counts.
            (*pc).set_cached(0);
            peer.let_rest(pc, state, B::idle(&peer));
        } else {
            ngx_http_upstream_free_round_robin_peer(pc, data, state);
        }
    }
}

//! Load balancing of an `upstream` block: who is asked for each try's server.
//!
//! A [`Balancer`] names a server, or none: then nginx's own round robin over the block's `server`
//! lines goes on, whose data are kept with each request for that. What a request's tries have in
//! common lives in its pool; the configuration holds nothing of a request.

use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, addr_of, addr_of_mut, null_mut};

use crate::nginx::core::conf::Conf;
use crate::nginx::core::log::Log;
use crate::nginx::http::configuration::{Scope, Structure};
use crate::nginx::sys::{
    NGX_HTTP_UPSTREAM_CREATE, NGX_HTTP_UPSTREAM_DOWN, NGX_HTTP_UPSTREAM_FAIL_TIMEOUT,
    NGX_HTTP_UPSTREAM_MAX_FAILS, NGX_HTTP_UPSTREAM_WEIGHT, ngx_conf_t, ngx_http_conf_ctx_t,
    ngx_http_request_t, ngx_http_upstream_conf_t, ngx_http_upstream_free_round_robin_peer,
    ngx_http_upstream_get_round_robin_peer, ngx_http_upstream_init_round_robin,
    ngx_http_upstream_init_round_robin_peer, ngx_http_upstream_module,
    ngx_http_upstream_rr_peer_data_t, ngx_http_upstream_s, ngx_http_upstream_srv_conf_t,
    ngx_http_upstream_state_t, ngx_int_t, ngx_parse_url, ngx_peer_connection_t, ngx_str_t,
    ngx_uint_t, ngx_url_t, sockaddr, socklen_t,
};
use crate::nginx::{Level, Request, Status, guard, module};
use crate::ngx_debug;

/// What an `upstream` block asks before each try.
pub trait Balancer: 'static {
    /// Names the try's server with [`Peer::set_address`], or leaves it to round robin.
    ///
    /// `Err`: there is no try. `NGX_ERROR` ends the request with a 500, `NGX_BUSY` with a 502, and
    /// `NGX_DECLINED` counts as a try that failed.
    fn choose(peer: Peer) -> Result<(), Status>;
}

/// A request's tries at one upstream; copies are the same tries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(NonNull<PeerData>);

/// How many tries a request has at most where code adds to them. A server that refuses at once is no
/// reason for nginx to serve others in between: code that adds one each time would stop the worker.
const MAX_TRIES: i64 = 1000;

/// What nginx keeps for us between the tries.
#[repr(C)]
struct PeerData {
    /// Round robin's own, which it finds through the same pointer: it stays first.
    round_robin: ngx_http_upstream_rr_peer_data_t,
    upstream: *mut ngx_http_upstream_srv_conf_t,
    request: *mut ngx_http_request_t,
    more_tries: i64,
    total_tries: i64,
    /// The named server; null where it is round robin's to say.
    address: *mut sockaddr,
    address_len: socklen_t,
    name: *mut ngx_str_t,
    /// nginx's NGX_PEER_* bits for the last named server; 0 before.
    last_state: ngx_uint_t,
    /// The request's own copy of its upstream settings; null before there is one.
    settings: *mut ngx_http_upstream_conf_t,
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

/// The end of the configuration: round robin sets up its servers.
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

/// A request comes to the upstream.
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
            (*pc).free = Some(free_peer);
            #[cfg(ngx_feature = "http_ssl")]
            {
                (*pc).set_session = Some(session::set);
                (*pc).save_session = Some(session::save);
            }
        }
        Status::OK.0
    })
}

/// A try begins: which server?
unsafe extern "C" fn get_peer<B: Balancer>(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
) -> ngx_int_t {
    guard(Status::ERROR.0, || {
        let Some(peer) = NonNull::new(data.cast()).map(Peer) else { return Status::ERROR.0 };
        // SAFETY: nginx passes the request's connection record, and the data of `init_peer`.
        unsafe {
            let log = Log::from_ptr((*pc).log);
            ngx_debug!(log, "lua balancer peer, tries: {}", (*pc).tries);
            peer.begin_try();
            if let Err(rc) = B::choose(peer) {
                if rc == Status::DECLINED {
                    // No peer is freed that would count the try: nginx would try for ever.
                    (*pc).set_cached(0);
                    (*pc).tries = (*pc).tries.saturating_sub(1);
                }
                return rc.0;
            }
            if !peer.is_named() {
                return ngx_http_upstream_get_round_robin_peer(pc, data);
            }
            peer.connect_to_named(pc);
        }
        Status::OK.0
    })
}

/// A try is over.
unsafe extern "C" fn free_peer(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
    state: ngx_uint_t,
) {
    guard((), || {
        let Some(peer) = NonNull::new(data.cast()).map(Peer) else { return };
        // SAFETY: as for `get_peer`.
        unsafe {
            let log = Log::from_ptr((*pc).log);
            ngx_debug!(log, "lua balancer free peer, tries: {}", (*pc).tries);
            if peer.is_named() {
                (*peer.as_ptr()).last_state = state;
                (*pc).tries = (*pc).tries.saturating_sub(1);
            } else {
                ngx_http_upstream_free_round_robin_peer(pc, data, state);
            }
        }
    });
}

/// TLS sessions with round robin's servers; those with named servers are not kept.
#[cfg(ngx_feature = "http_ssl")]
mod session {
    use super::*;
    use crate::nginx::sys::{
        ngx_http_upstream_save_round_robin_peer_session,
        ngx_http_upstream_set_round_robin_peer_session,
    };

    pub unsafe extern "C" fn set(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
        match NonNull::new(data.cast()).map(Peer) {
            // SAFETY: nginx passes the request's connection record, and the data of `init_peer`.
            Some(peer) if !peer.is_named() => unsafe {
                ngx_http_upstream_set_round_robin_peer_session(pc, data)
            },
            _ => Status::OK.0,
        }
    }

    pub unsafe extern "C" fn save(pc: *mut ngx_peer_connection_t, data: *mut c_void) {
        match NonNull::new(data.cast()).map(Peer) {
            // SAFETY: as for `set`.
            Some(peer) if !peer.is_named() => unsafe {
                ngx_http_upstream_save_round_robin_peer_session(pc, data);
            },
            _ => {}
        }
    }
}

/// The request's record of its upstream; null where nginx proxies nothing for it.
pub fn of(request: Request) -> Option<NonNull<ngx_http_upstream_s>> {
    NonNull::new(request.get().upstream)
}

impl Peer {
    fn as_ptr(self) -> *mut PeerData {
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
        // SAFETY: an explicit block (others have no balancer) has a slot for every module, with what
        // the trait promises in the cycle's pool.
        unsafe { &*(*(*(*self.as_ptr()).upstream).srv_conf.add(module().ctx_index)).cast() }
    }

    fn begin_try(self) {
        // SAFETY: the data live in the request's pool.
        let data = unsafe { &mut *self.as_ptr() };
        data.address = null_mut();
        data.address_len = 0;
        data.more_tries = 0;
        data.total_tries += 1;
    }

    fn is_named(self) -> bool {
        // SAFETY: as in `begin_try`.
        unsafe { !(*self.as_ptr()).address.is_null() && (*self.as_ptr()).address_len != 0 }
    }

    /// # Safety
    /// `pc` must be the connection record that nginx asks with.
    unsafe fn connect_to_named(self, pc: *mut ngx_peer_connection_t) {
        // SAFETY: the caller's; the address lives in the request's pool, round robin's list as
        // long as the configuration.
        unsafe {
            let data = &*self.as_ptr();
            (*pc).sockaddr = data.address;
            (*pc).socklen = data.address_len;
            (*pc).set_cached(0);
            (*pc).connection = null_mut();
            (*pc).name = data.name;
            // A list of one server counts no tries; it is not the only one any more.
            let peers = data.round_robin.peers;
            if (*peers).single() != 0 {
                (*peers).set_single(0);
            }
            let tries = i64::try_from((*pc).tries).unwrap_or(i64::MAX);
            let tries = tries.saturating_add(data.more_tries).max(0);
            (*pc).tries = tries as ngx_uint_t;
        }
    }

    /// Names the server: an IP address or `unix:` path, with a port or not.
    pub fn set_address(self, address: &[u8], port: u16) -> Result<(), &'static CStr> {
        let request = self.request().ok_or(c"no request found")?;
        let pool = request.pool();
        let text = pool.copy_str(address).map_err(|_| c"no memory")?;
        // SAFETY: zero is a valid ngx_url_t; the text lives in the pool, as what nginx makes of it;
        // nginx's error texts are literals.
        unsafe {
            let mut url: ngx_url_t = std::mem::zeroed();
            url.url = text;
            url.default_port = port;
            url.set_no_resolve(1);
            if ngx_parse_url(pool.as_ptr(), &mut url) != Status::OK.0 {
                let known = !url.err.is_null();
                return Err(if known { CStr::from_ptr(url.err) } else { c"no memory" });
            }
            match url.addrs.as_mut() {
                Some(first) if !first.sockaddr.is_null() => {
                    let data = &mut *self.as_ptr();
                    data.address = first.sockaddr;
                    data.address_len = first.socklen;
                    data.name = addr_of_mut!(first.name);
                    Ok(())
                }
                _ => Err(c"no host allowed"),
            }
        }
    }

    /// Has `count` tries more follow this one; true where `*_next_upstream_tries` allows fewer, or
    /// [`MAX_TRIES`] where that has no limit.
    pub fn set_more_tries(self, count: i32) -> bool {
        let Some(u) = self.request().and_then(of) else { return false };
        // SAFETY: a live upstream record, with its settings; our data in the request's pool.
        unsafe {
            let data = &mut *self.as_ptr();
            let limit = match (*u.as_ref().conf).next_upstream_tries {
                0 => MAX_TRIES,
                tries => i64::try_from(tries).unwrap_or(i64::MAX),
            };
            let left = i64::try_from(u.as_ref().peer.tries).unwrap_or(i64::MAX);
            let total = data.total_tries.saturating_add(left) - 1;
            let reduced = count > 0 && total.saturating_add(count.into()) > limit;
            data.more_tries = if reduced { (limit - total).max(0) } else { count.into() };
            reduced
        }
    }

    /// How the last try at a named server ended (nginx's NGX_PEER_* bits), and its status; zeros
    /// where there was none.
    pub fn last_failure(self) -> (usize, usize) {
        // SAFETY: nginx's list of a live request's upstream states; our data.
        unsafe {
            let states = self.request().and_then(|request| request.get().upstream_states.as_ref());
            let states = states.map_or(&[][..], |all| all.as_slice::<ngx_http_upstream_state_t>());
            let status = match states {
                [.., last, _this_try] => last.status,
                _ => 0,
            };
            ((*self.as_ptr()).last_state, status)
        }
    }

    /// Sets the times, in milliseconds, that this request waits for its upstream; `None` leaves
    /// one as it is. Other requests keep theirs. False without memory.
    pub fn set_timeouts(self, times: Timeouts) -> bool {
        let Some(request) = self.request() else { return false };
        let Some(mut u) = of(request) else { return false };
        // SAFETY: a live upstream record, with its settings, which belong to the location: they
        // are copied first; our data in the request's pool.
        unsafe {
            let data = &mut *self.as_ptr();
            if data.settings.is_null() {
                let Ok(own) = request.pool().zeroed::<ngx_http_upstream_conf_t>() else {
                    return false;
                };
                std::ptr::copy_nonoverlapping(u.as_ref().conf, own.as_ptr(), 1);
                data.settings = own.as_ptr();
                u.as_mut().conf = own.as_ptr();
            }
            let settings = &mut *data.settings;
            settings.connect_timeout = times.connect.unwrap_or(settings.connect_timeout);
            settings.send_timeout = times.send.unwrap_or(settings.send_timeout);
            settings.read_timeout = times.read.unwrap_or(settings.read_timeout);
        }
        true
    }

    /// Makes the request to the upstream anew, from the variables and headers as they are now.
    /// Where that fails, the old one stays.
    pub fn recreate_request(self) -> Status {
        let Some(request) = self.request() else { return Status::ERROR };
        let Some(u) = of(request) else { return Status::ERROR };
        let u = u.as_ptr();
        // SAFETY: a live request and its upstream record, whose chains live in its pool.
        unsafe {
            let Some(create) = (*u).create_request else { return Status::ERROR };
            let old = (*u).request_bufs;
            let body = request.get().request_body.as_ref().map_or(null_mut(), |body| body.bufs);
            if let Some(first) = old.as_ref()
                && old != body
            {
                // The old request's own buffer; the body follows.
                (*u).request_bufs = first.next;
            }
            let rc = Status(create(request.as_ptr()));
            if rc != Status::OK {
                (*u).request_bufs = old;
            }
            rc
        }
    }
}

/// Times in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Timeouts {
    pub connect: Option<usize>,
    pub send: Option<usize>,
    pub read: Option<usize>,
}

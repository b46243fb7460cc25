//! What code says of one try: its server, where from, how often again, within which times.

use std::ffi::CStr;
use std::ptr::{NonNull, addr_of_mut, null_mut};

use codec::fallible::OutOfMemory;

use super::record::Peer;
use crate::nginx::sys::{
    ngx_addr_t, ngx_http_upstream_conf_t, ngx_http_upstream_s, ngx_http_upstream_state_t,
    ngx_parse_addr_port, ngx_parse_url, ngx_url_t,
};
use crate::nginx::{Request, Status};

/// The most tries that a request may have if code adds to them. nginx does not serve other requests
/// between tries that fail at once: code that adds one more each time would stop the worker.
const MAX_TRIES: i64 = 1000;

/// The request's upstream record; `None` if nginx does not proxy it.
pub fn of(request: Request) -> Option<NonNull<ngx_http_upstream_s>> {
    NonNull::new(request.get().upstream)
}

impl Peer {
    /// Sets the server: an IP address or `unix:` path, with or without a port. Its `host` may be
    /// empty.
    pub fn set_address(self, address: &[u8], port: u16, host: &[u8]) -> Result<(), &'static CStr> {
        let request = self.request().ok_or(c"no request found")?;
        let pool = request.pool();
        let text = pool.copy_str(address).map_err(|_| c"no memory")?;
        let host = pool.copy_str(host).map_err(|_| c"no memory")?;
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
                    data.host = host;
                    Ok(())
                }
                _ => Err(c"no host allowed"),
            }
        }
    }

    /// Has this and later tries connect from `address`, an IP address with a port or not.
    pub fn bind_to(self, address: &[u8]) -> Result<(), BindError> {
        let pool = self.request().ok_or(BindError::NoRequest)?.pool();
        // SAFETY: zero is a valid ngx_addr_t; it and its text live in the request's pool, as this
        // module's data of the tries does.
        unsafe {
            let mut local = pool.zeroed::<ngx_addr_t>()?;
            let text = pool.copy_str(address)?;
            let rc = ngx_parse_addr_port(pool.as_ptr(), local.as_ptr(), text.data, text.len);
            if rc != Status::OK.0 {
                return Err(BindError::Invalid);
            }
            local.as_mut().name = text;
            (*self.as_ptr()).local = local.as_ptr();
        }
        Ok(())
    }

    /// Allows `count` more tries after this one; true if `*_next_upstream_tries` (or [`MAX_TRIES`],
    /// if that has no limit) allows only fewer.
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
            let left = left.saturating_add(i64::from(data.hold.is_on()));
            let total = data.total_tries.saturating_add(left) - 1;
            let reduced = count > 0 && total.saturating_add(count.into()) > limit;
            data.more_tries = if reduced { (limit - total).max(0) } else { count.into() };
            reduced
        }
    }

    /// How the last try of a named server ended (nginx's NGX_PEER_* bits), and its status; zeros if
    /// there was none.
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

    /// The request's own copy of its upstream settings, which belong to the location; `None`
    /// without memory.
    pub(super) fn own_settings(self) -> Option<*mut ngx_http_upstream_conf_t> {
        let request = self.request()?;
        let mut u = of(request)?;
        // SAFETY: a live upstream record, with its settings; our data in the request's pool.
        unsafe {
            let data = &mut *self.as_ptr();
            if data.settings.is_null() {
                let own = request.pool().zeroed::<ngx_http_upstream_conf_t>().ok()?;
                std::ptr::copy_nonoverlapping(u.as_ref().conf, own.as_ptr(), 1);
                data.settings = own.as_ptr();
                u.as_mut().conf = own.as_ptr();
            }
            Some(data.settings)
        }
    }

    /// Sets this request's upstream timeouts, in milliseconds; `None` leaves one as it is. Other
    /// requests are not affected. False without memory.
    pub fn set_timeouts(self, times: Timeouts) -> bool {
        let Some(settings) = self.own_settings() else { return false };
        // SAFETY: the request's own settings, in its pool.
        unsafe {
            let settings = &mut *settings;
            settings.connect_timeout = times.connect.unwrap_or(settings.connect_timeout);
            settings.send_timeout = times.send.unwrap_or(settings.send_timeout);
            settings.read_timeout = times.read.unwrap_or(settings.read_timeout);
        }
        true
    }

    /// Makes the request to the upstream anew, from the current variables and headers. If that
    /// fails, the old one stays.
    pub fn recreate_request(self) -> Status {
        let Some(request) = self.request() else { return Status::ERROR };
        let Some(u) = of(request) else { return Status::ERROR };
        let u = u.as_ptr();
        // SAFETY: a live request and its upstream record, whose chains live in its pool.
        unsafe {
            let Some(create) = (*u).create_request else { return Status::ERROR };
            let old = (*u).request_bufs;
            let body = request.get().request_body.as_ref().map_or(null_mut(), |body| body.bufs);
            // As before the first time: the body alone, which may be another one by now.
            (*u).request_bufs = body;
            let rc = Status(create(request.as_ptr()));
            if rc != Status::OK {
                (*u).request_bufs = old;
            }
            rc
        }
    }
}

/// Timeouts in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Timeouts {
    pub connect: Option<usize>,
    pub send: Option<usize>,
    pub read: Option<usize>,
}

/// Why a local address was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindError {
    NoRequest,
    NoMemory,
    /// It is no IP address.
    Invalid,
}

impl From<OutOfMemory> for BindError {
    fn from(_: OutOfMemory) -> BindError {
        BindError::NoMemory
    }
}

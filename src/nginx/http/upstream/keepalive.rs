//! Which connections rest after a try, and which one serves another: one to the same address, from
//! the same, by the same host; with TLS, one whose handshake would have been the same.

use std::ptr::null_mut;

use codec::fallible::{Grow, OutOfMemory, Shown};

use super::idle::IdleConnections;
use super::record::Peer;
use crate::nginx::core::log::Log;
use crate::nginx::core::strings;
use crate::nginx::event::alarm::is_stopping;
use crate::nginx::event::peer;
use crate::nginx::sys::{
    NGX_PEER_FAILED, ngx_connection_t, ngx_event_t, ngx_http_upstream_s, ngx_peer_connection_t,
    ngx_str_t, sockaddr,
};
use crate::ngx_debug;

/// How long a try's connection may rest, and how often it is used.
#[derive(Clone, Copy)]
pub struct Keepalive {
    /// 0: as long as its server likes.
    pub milliseconds: usize,
    /// 0: any number.
    pub max_requests: usize,
}

impl Peer {
    /// The connection to the named server may rest after this try.
    pub fn enable_keepalive(self, keepalive: Keepalive) -> Result<(), &'static std::ffi::CStr> {
        if !self.is_named() {
            return Err(c"no current peer set");
        }
        // SAFETY: the data live in the request's pool.
        unsafe {
            (*self.as_ptr()).may_rest = true;
            (*self.as_ptr()).keepalive = keepalive;
        }
        Ok(())
    }

    /// Gives the try a connection that rests; returns whether there was one. Nothing is looked for
    /// where the try's code did not ask for it.
    ///
    /// # Safety
    /// `pc` must be the connection record that nginx asks with, its server set.
    pub(super) unsafe fn take_resting(
        self,
        pc: *mut ngx_peer_connection_t,
        idle: &IdleConnections,
    ) -> Result<bool, OutOfMemory> {
        // SAFETY: `pc` is the live connection record, the contract of this function; the data and
        // the key live in the request's pool.
        unsafe {
            let (Some(u), Some(request)) = (self.upstream(), self.request()) else {
                return Ok(false);
            };
            if !(*self.as_ptr()).may_rest {
                return Ok(false);
            }
            let key = request.pool().copy_str(&self.key(pc, u)?)?;
            (*self.as_ptr()).key = key;
            let log = Log::from_ptr((*pc).log);
            let Some(resting) = idle.take(strings::bytes(key)) else {
                ngx_debug!(
                    log,
                    "lua balancer: keepalive no free connection, {}",
                    self.shown(pc, u)
                );
                return Ok(false);
            };
            let c = resting.give_away(log);
            ngx_debug!(
                log,
                "lua balancer: keepalive reusing connection {:016X}, {}",
                c.addr(),
                self.shown(pc, u)
            );
            (*pc).connection = c;
            (*pc).set_cached(1);
            Ok(true)
        }
    }

    /// Called when the try has ended: keeps its connection alive, if its code wants that and the
    /// connection is fit for it.
    ///
    /// # Safety
    /// `pc` must be the connection record of the try, `state` what nginx says of it.
    pub(super) unsafe fn let_rest(
        self,
        pc: *mut ngx_peer_connection_t,
        state: usize,
        idle: &IdleConnections,
    ) {
        // SAFETY: `pc` is the live connection record, the contract of this function; nginx gives up
        // a connection that is taken out of the record.
        unsafe {
            let data = &*self.as_ptr();
            let Some(u) = self.upstream().filter(|_| data.may_rest) else { return };
            let (c, log) = ((*pc).connection, Log::from_ptr((*pc).log));
            if state & NGX_PEER_FAILED as usize != 0 || !is_fit(c, u, data.keepalive) {
                ngx_debug!(log, "lua balancer: keepalive not saving connection {:016X}", c.addr());
                return;
            }
            idle.make_room();
            ngx_debug!(
                log,
                "lua balancer: keepalive saving connection {:016X}, {}",
                c.addr(),
                self.shown(pc, u)
            );
            let Some(resting) = peer::Peer::adopt(c) else { return };
            (*pc).connection = null_mut();
            let kept = idle.keep(resting, strings::bytes(data.key), data.keepalive.milliseconds);
            if kept.is_err() {
                ngx_debug!(log, "lua balancer: keepalive no memory");
            }
        }
    }

    /// What tells connections apart.
    ///
    /// # Safety
    /// As for [`Peer::take_resting`], with the request's upstream record.
    unsafe fn key(
        self,
        pc: *mut ngx_peer_connection_t,
        u: *mut ngx_http_upstream_s,
    ) -> Result<Vec<u8>, OutOfMemory> {
        let mut key = Vec::new();
        // SAFETY: both records are live, the contract of this function; the addresses have the
        // lengths in the records.
        unsafe {
            add(&mut key, address((*pc).sockaddr, (*pc).socklen))?;
            let local = (*pc).local.as_ref().map(|local| address(local.sockaddr, local.socklen));
            add(&mut key, local.unwrap_or_default())?;
            add_name(&mut key, strings::bytes((*self.as_ptr()).host))?;
            self.add_handshake(u, &mut key)?;
        }
        Ok(key)
    }

    /// The try's server, for the log.
    ///
    /// # Safety
    /// As for [`Peer::key`].
    unsafe fn shown<'a>(
        self,
        pc: *mut ngx_peer_connection_t,
        u: *mut ngx_http_upstream_s,
    ) -> ShownServer<'a> {
        // SAFETY: both records are live, the contract of this function; the names live in the
        // request's pool or the configuration's.
        unsafe {
            let mut name = strings::bytes((*self.as_ptr()).host);
            if name.is_empty() {
                name = self.handshake_name(u);
            }
            let address = (*pc).name.as_ref().map_or(ngx_str_t::empty(), |name| *name);
            ShownServer { address: strings::bytes(address), name }
        }
    }
}

struct ShownServer<'a> {
    address: &'a [u8],
    name: &'a [u8],
}

impl std::fmt::Display for ShownServer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host: {}, name: {}", Shown(self.address), Shown(self.name))
    }
}

/// Adds `part`, its length first: so different parts never make the same key.
pub(super) fn add(key: &mut Vec<u8>, part: &[u8]) -> Result<(), OutOfMemory> {
    key.try_append(&part.len().to_ne_bytes())?;
    key.try_append(part)
}

/// As [`add`], for a name, in which the case of letters does not matter.
pub(super) fn add_name(key: &mut Vec<u8>, name: &[u8]) -> Result<(), OutOfMemory> {
    let start = key.len();
    add(key, name)?;
    key.iter_mut().skip(start + size_of::<usize>()).for_each(u8::make_ascii_lowercase);
    Ok(())
}

/// # Safety
/// `data` must be null or valid for `len` bytes as long as the result is used.
unsafe fn address<'a>(data: *const sockaddr, len: u32) -> &'a [u8] {
    // SAFETY: `data` is null or valid for `len` bytes, the contract of this function.
    unsafe { strings::raw(data.cast(), len as usize) }
}

/// Whether the connection, or null, can serve another request.
///
/// # Safety
/// `c` must be null or the live connection of the request whose upstream record is `u`.
unsafe fn is_fit(
    c: *mut ngx_connection_t,
    u: *mut ngx_http_upstream_s,
    keepalive: Keepalive,
) -> bool {
    let is_broken =
        |event: &ngx_event_t| event.eof() != 0 || event.error() != 0 || event.timedout() != 0;
    // SAFETY: `c` is null or live, the contract of this function; a live connection has its events.
    unsafe {
        let Some(c) = c.as_ref() else { return false };
        !is_broken(&*c.read)
            && !is_broken(&*c.write)
            && (keepalive.max_requests == 0 || c.requests < keepalive.max_requests)
            && (*u).keepalive() != 0
            && (*u).request_body_sent() != 0
            && !is_stopping()
    }
}

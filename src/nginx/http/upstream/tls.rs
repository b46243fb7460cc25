//! TLS of a try: whether it is used, by which name, and the sessions with round robin's servers.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use codec::fallible::OutOfMemory;
use export::callback;

use super::keepalive::{add, add_name};
use super::record::Peer;
use crate::nginx::Status;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_http_complex_value, ngx_http_complex_value_t, ngx_http_upstream_s,
    ngx_http_upstream_save_round_robin_peer_session,
    ngx_http_upstream_set_round_robin_peer_session, ngx_int_t, ngx_peer_connection_t, ngx_str_t,
};

/// What a URL begins with: without TLS, and with it.
const SCHEMES: &[[&[u8]; 2]] =
    &[[b"http://", b"https://"], [b"grpc://", b"grpcs://"], [b"uwsgi://", b"suwsgi://"]];

impl Peer {
    /// The request speaks to its upstream by TLS from now on, or does not.
    ///
    /// Errors: its location has no settings for TLS.
    pub fn set_tls(self, on: bool) -> Result<(), &'static CStr> {
        let u = self.upstream().ok_or(c"no upstream found")?;
        // SAFETY: a live upstream record with its settings; nginx only reads the scheme.
        unsafe {
            let context = (*(*u).conf).ssl.as_ref().map(|ssl| ssl.ctx);
            if on && context.is_none_or(|context| context.is_null()) {
                return Err(c"no TLS settings for this upstream");
            }
            (*u).set_ssl(on.into());
            let scheme = strings::bytes((*u).schema);
            if let Some(pair) = SCHEMES.iter().find(|pair| pair.contains(&scheme)) {
                let [plain, tls] = *pair;
                (*u).schema = strings::borrowed(if on { tls } else { plain });
            }
        }
        Ok(())
    }

    /// The name for the try's handshake: the host that its code gave, else what nginx would take.
    pub(super) fn set_tls_name(self) {
        let Some(u) = self.upstream() else { return };
        // SAFETY: a live upstream record; our data; the names live as long as the request.
        unsafe {
            let data = &*self.as_ptr();
            (*u).ssl_name = if data.host.len > 0 { data.host } else { data.tls_name };
        }
    }

    /// The name that nginx checks and tells the server, without a port; empty where there is no
    /// handshake.
    ///
    /// # Safety
    /// `u` must be the request's upstream record.
    pub(super) unsafe fn handshake_name<'a>(self, u: *mut ngx_http_upstream_s) -> &'a [u8] {
        // SAFETY: `u` is live, the contract of this function.
        let name = unsafe {
            if (*u).ssl() == 0 {
                return &[];
            }
            match NonNull::new((*(*u).conf).ssl_name) {
                Some(value) => self.evaluate(value),
                None => strings::bytes((*u).ssl_name),
            }
        };
        let from = match name.first() {
            Some(b'[') => name.iter().position(|&byte| byte == b']').unwrap_or(0),
            _ => 0,
        };
        let port = name.iter().skip(from).position(|&byte| byte == b':');
        port.and_then(|port| name.get(..from + port)).unwrap_or(name)
    }

    /// Adds to `key` what the result of the try's handshake depends on; nothing where there is
    /// none.
    ///
    /// # Safety
    /// As for [`Peer::handshake_name`].
    pub(super) unsafe fn add_handshake(
        self,
        u: *mut ngx_http_upstream_s,
        key: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: `u` is live and has its settings, the contract of this function.
        unsafe {
            if (*u).ssl() == 0 {
                return Ok(());
            }
            let conf = &*(*u).conf;
            add(key, &conf.ssl.addr().to_ne_bytes())?;
            add(key, &[u8::from(conf.ssl_verify == 1), u8::from(conf.ssl_server_name == 1)])?;
            add_name(key, self.handshake_name(u))?;
            for value in [conf.ssl_certificate, conf.ssl_certificate_key] {
                let dynamic = NonNull::new(value).filter(|value| !value.as_ref().lengths.is_null());
                add(key, dynamic.map_or(&[], |value| self.evaluate(value)))?;
            }
        }
        Ok(())
    }

    /// The text of `value` for this request; empty where that fails.
    ///
    /// # Safety
    /// `value` must be one of the configuration's.
    unsafe fn evaluate<'a>(self, value: NonNull<ngx_http_complex_value_t>) -> &'a [u8] {
        let mut text = ngx_str_t::empty();
        let Some(request) = self.request() else { return &[] };
        // SAFETY: `value` is one of the configuration's, the contract of this function; the request
        // is live, and the text is in its pool.
        unsafe {
            let rc = ngx_http_complex_value(request.as_ptr(), value.as_ptr(), &mut text);
            if rc == Status::OK.0 { strings::bytes(text) } else { &[] }
        }
    }
}

/// Called to set the session of a try's handshake: round robin's for its own servers, none for
/// named ones.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
pub(super) unsafe extern "C" fn set_session(
    pc: *mut ngx_peer_connection_t,
    data: *mut c_void,
) -> ngx_int_t {
    // SAFETY: nginx passes the request's connection record, and the data of `init_peer`.
    unsafe {
        match Peer::from_data(data) {
            Some(peer) if !peer.is_named() => {
                ngx_http_upstream_set_round_robin_peer_session(pc, data)
            }
            _ => Status::OK.0,
        }
    }
}

/// Called to keep the session of a try's handshake; those of named servers are not kept.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
pub(super) unsafe extern "C" fn save_session(pc: *mut ngx_peer_connection_t, data: *mut c_void) {
    // SAFETY: as in `set_session`.
    unsafe {
        if Peer::from_data(data).is_some_and(|peer| !peer.is_named()) {
            ngx_http_upstream_save_round_robin_peer_session(pc, data);
        }
    }
}

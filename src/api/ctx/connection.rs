//! The `ngx.ctx` table of a TLS connection, as its requests and the code of its handshake see it.
//!
//! Without TLS in nginx, there is none.

use std::ffi::c_int;
#[cfg(ngx_feature = "http_ssl")]
use std::rc::Rc;

use crate::api::ffi;
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::event::tls::Ssl;
use crate::runtime::Context;
#[cfg(ngx_feature = "http_ssl")]
use crate::runtime::PhaseSet;
use crate::runtime::ctx::CtxRef;
#[cfg(ngx_feature = "http_ssl")]
use crate::runtime::handshake::Handshake;

/// The `ngx.ctx` table of a TLS connection, made by the code of its handshake's phases.
pub struct OfConnection {
    /// Whether code of the handshake runs now: the connection's table is its `ngx.ctx` then.
    pub runs: bool,
    #[cfg(ngx_feature = "http_ssl")]
    handshake: Option<Rc<Handshake>>,
}

#[cfg(ngx_feature = "http_ssl")]
impl OfConnection {
    pub fn of(context: &Context) -> OfConnection {
        let ssl = Ssl::of(context.request()).ok();
        let handshake = ssl.and_then(Handshake::of);
        OfConnection {
            runs: PhaseSet::HANDSHAKE.has(context.phase.get()),
            // A request's own VM (`lua_code_cache off`) has other tables.
            handshake: handshake.filter(|handshake| handshake.is_in(context.vm())),
        }
    }

    pub fn reference(&self) -> CtxRef {
        self.handshake.as_ref().map(|handshake| handshake.ctx_ref()).unwrap_or_default()
    }

    pub fn set(&self, reference: CtxRef) -> c_int {
        let Some(handshake) = &self.handshake else { return ffi::ERROR };
        handshake.set_ctx_ref(reference);
        ffi::OK
    }
}

#[cfg(not(ngx_feature = "http_ssl"))]
impl OfConnection {
    pub fn of(_context: &Context) -> OfConnection {
        OfConnection { runs: false }
    }

    pub fn reference(&self) -> CtxRef {
        CtxRef::default()
    }

    pub fn set(&self, _reference: CtxRef) -> c_int {
        ffi::ERROR
    }
}

//! The state of a cosocket's TLS: the result of the last handshake, and the parameters with which
//! the connection's TLS was made.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use super::handshake::WantedHandshake;
use crate::api::socket_tcp::socket::Socket;
use crate::config::LocationConf;
use crate::nginx::Level;
use crate::nginx::core::log::Shown;
use crate::nginx::event::stream::Stream;
use crate::nginx::event::tls::{Connection, Context, GivenSession, Offer, Owned, Session, Store};
use crate::{ngx_debug, ngx_log};

/// Why a handshake failed. `code` is OpenSSL's number of what is wrong with the server's
/// certificate, or 0.
#[derive(Clone, Copy)]
pub struct TlsFailure {
    pub code: c_int,
    pub text: &'static CStr,
}

/// The TLS of a cosocket.
#[derive(Default)]
pub struct Tls {
    /// Whether the last handshake verifies the server, and keeps the session for the caller.
    verify: bool,
    keep_session: bool,
    /// Whether the last handshake has a client certificate from the caller, instead of the
    /// configured ones.
    has_certificate: bool,
    /// The name that the server's certificate must be for; empty for any.
    host: Vec<u8>,
    /// What the caller's options say.
    offer: Option<Rc<Offer>>,
    failure: Option<TlsFailure>,
    session: Kept,
    /// `None` before the connection's first handshake.
    made: Option<Box<Made>>,
    /// The authorities that the next handshake trusts, instead of the configured ones.
    trusted: Option<Store>,
    /// The caller's options for the next handshake.
    next_offer: Option<Rc<Offer>>,
    /// How many bytes had been sent when the connection came out of a pool; `None` if it did not.
    sent_before: Option<i64>,
}

/// The parameters with which a connection's TLS was made; they go with the connection into a pool.
pub struct Made {
    /// The name that the server was given (SNI); empty for none.
    server_name: Vec<u8>,
    /// The context with the location's settings; only compared.
    context: *const Context,
    /// The authorities that were trusted, if they were not the context's own.
    trusted: Option<Store>,
    /// Whether the client certificate was the caller's.
    has_certificate: bool,
    /// What the caller's options said.
    offer: Option<Rc<Offer>>,
    /// Whether the server's certificate was verified, and is for that name.
    verified: bool,
}

/// Whether a connection that has had its handshake suits another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suits {
    Yes,
    /// If its server, which was not verified before, can be verified now.
    IfVerified,
    /// Its TLS is for another server name, another client certificate or other settings.
    Not,
}

/// The session for the caller.
#[derive(Default)]
enum Kept {
    #[default]
    None,
    Here(Session),
    /// Lua owns it. It is returned again if asked for: lua-resty-core asks twice.
    Given(GivenSession),
}

impl Made {
    /// Whether the server was told a name other than `name`; false if `name` is `None`.
    fn is_for_another(&self, name: Option<&[u8]>) -> bool {
        name.is_some_and(|name| !name.eq_ignore_ascii_case(&self.server_name))
    }

    /// Whether it was made with this context and this store.
    fn is_by(&self, context: *const Context, trusted: Option<&Store>) -> bool {
        self.context == context
            && self.trusted.as_ref().map(Store::as_ptr) == trusted.map(Store::as_ptr)
    }
}

impl Tls {
    /// The state for a connection that comes out of a pool.
    pub fn taken(made: Option<Box<Made>>, stream: Stream) -> Tls {
        Tls { made, sent_before: Some(stream.sent()), ..Tls::default() }
    }

    /// Takes the parameters of a connection that goes into a pool.
    pub fn take_made(&mut self) -> Option<Box<Made>> {
        self.made.take()
    }

    /// Notes what a handshake that begins is to do; clears the result of the last one.
    pub fn begin(&mut self, wanted: &WantedHandshake) -> Result<(), OutOfMemory> {
        self.host = fallible::copy(wanted.server_name.unwrap_or_default())?;
        self.verify = wanted.verify;
        self.has_certificate = wanted.certificate.is_some();
        self.offer = wanted.offer.clone();
        self.keep_session = wanted.keep_session || wanted.session.is_some();
        self.failure = None;
        self.session = Kept::None;
        Ok(())
    }

    /// A handshake has succeeded: a real one, or another verification of the server after it.
    pub fn succeed(&mut self, connection: Connection, stream: Stream, socket: &Socket) {
        self.save_session(connection, stream);
        let conf = socket.conf.get();
        let conf = LocationConf::of(&conf);
        let context = conf.tls_context().map_or(ptr::null(), ptr::from_ref);
        let verified = self.verify;
        let suits = self.made.as_ref().is_some_and(|made| {
            made.is_by(context, self.store(verified, conf))
                && !made.is_for_another(Some(&self.host))
        });
        match &mut self.made {
            None => {
                let trusted = self.store(verified, conf).cloned();
                let server_name = self.host.clone();
                let (has_certificate, offer) = (self.has_certificate, self.offer.clone());
                let made = Made { server_name, context, trusted, has_certificate, offer, verified };
                self.made = Some(Box::new(made));
            }
            Some(made) => made.verified |= verified && suits,
        }
    }

    /// Has the next handshake trust these authorities; if `None`, the configured ones.
    pub fn trust(&mut self, store: Option<Store>) {
        self.trusted = store;
    }

    /// Sets the caller's options for the next handshake.
    pub fn offer_next(&mut self, offer: Option<Rc<Offer>>) {
        self.next_offer = offer;
    }

    pub fn take_next_offer(&mut self) -> Option<Rc<Offer>> {
        self.next_offer.take()
    }

    /// Whether the connection's handshake had other options than `wanted` has.
    pub fn offered_others(&self, wanted: &WantedHandshake) -> bool {
        self.made.as_ref().is_some_and(|made| made.offer != wanted.offer)
    }

    /// The authorities that a handshake trusts, if they are not the context's own. Without
    /// verification, the system's authorities are not loaded.
    pub fn store<'a>(&'a self, verify: bool, conf: &'a LocationConf) -> Option<&'a Store> {
        let context = || conf.tls_context().filter(|_| verify);
        self.trusted().or_else(|| context()?.store()?.get())
    }

    /// The authorities that the caller has set.
    pub fn trusted(&self) -> Option<&Store> {
        self.trusted.as_ref()
    }

    /// Whether the connection's handshake trusted other authorities than the next one, which
    /// verifies the server, is to trust. Only asked where the caller has set authorities for one of
    /// them.
    pub fn trusted_others(&self, socket: &Socket) -> bool {
        let Some(made) = self.made.as_ref().map(|made| made.trusted.as_ref()) else { return false };
        let named = made.is_some() || self.trusted().is_some();
        let conf = socket.conf.get();
        let wanted = || self.store(true, LocationConf::of(&conf)).map(Store::as_ptr);
        named && made.map(Store::as_ptr) != wanted()
    }

    /// Sets the result of a handshake that has failed.
    pub fn fail(&mut self, failure: TlsFailure) {
        self.failure = Some(failure);
    }

    /// Whether the connection came out of a pool and nothing has been sent on it since.
    pub fn is_untouched(&self, stream: Stream) -> bool {
        self.sent_before == Some(stream.sent())
    }

    /// Whether the TLS of `connection` suits the handshake that is wanted.
    pub fn suits(
        &self,
        connection: Connection,
        wanted: &WantedHandshake,
        socket: &Socket,
    ) -> Suits {
        let Some(made) = &self.made else { return Suits::Not };
        let conf = socket.conf.get();
        let conf = LocationConf::of(&conf);
        let context = conf.tls_context();
        let presents = match wanted.certificate {
            Some(own) => connection.presents(own),
            None if made.has_certificate => false,
            None if made.context == context.map_or(ptr::null(), ptr::from_ref) => true,
            None => {
                !connection.has_certificate() && !context.is_some_and(Context::has_certificates)
            }
        };
        let context = context.map_or(ptr::null(), ptr::from_ref);
        let offered = !self.offered_others(wanted);
        if made.is_for_another(wanted.server_name) || !presents || !offered {
            return Suits::Not;
        }
        match (wanted.verify, made.is_by(context, self.store(wanted.verify, conf))) {
            (false, _) => Suits::Yes,
            (true, false) => Suits::Not,
            (true, true) if made.verified => Suits::Yes,
            (true, true) => Suits::IfVerified,
        }
    }

    /// The result of the last handshake. After a success, the session, if one was kept: the caller
    /// owns it from now on.
    pub fn take_result(&mut self) -> Result<Option<GivenSession>, TlsFailure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let session = match std::mem::take(&mut self.session) {
            Kept::None => return Ok(None),
            Kept::Here(session) => session.give(),
            Kept::Given(session) => session,
        };
        self.session = Kept::Given(session);
        Ok(Some(session))
    }

    /// Keeps the connection's session, if the caller wants it.
    pub fn save_session(&mut self, connection: Connection, stream: Stream) {
        if !self.keep_session {
            return;
        }
        let Some(session) = connection.session() else { return };
        ngx_debug!(stream.log(), "lua ssl save session: {:016X}", session.as_ptr() as usize);
        self.session = Kept::Here(session);
    }

    /// If the handshake verifies the server: whether its certificate is trusted, and is for the
    /// name that was asked for. A failure is logged, if the location logs errors of sockets.
    pub fn verify(&self, connection: Connection, socket: &Socket) -> Result<(), TlsFailure> {
        if !self.verify {
            return Ok(());
        }
        let log = socket.error_log();
        if let Some(error) = connection.verify_error() {
            let failure = TlsFailure { code: error.code, text: error.text };
            if socket.logs_errors() {
                let text = Shown(failure.text.to_bytes());
                ngx_log!(
                    log,
                    Level::Err,
                    "lua ssl certificate verify error: ({}: {text})",
                    failure.code
                );
            }
            return Err(failure);
        }
        if self.host.is_empty() || connection.is_for_host(&self.host) {
            return Ok(());
        }
        if socket.logs_errors() {
            let host = Shown(&self.host);
            ngx_log!(log, Level::Err, "lua ssl certificate does not match host \"{host}\"");
        }
        Err(TlsFailure { code: 0, text: c"certificate host mismatch" })
    }
}

//! What a cosocket knows of its TLS: how the last handshake ended, and what it was made with.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use super::handshake::WantedHandshake;
use crate::api::socket_tcp::socket::Socket;
use crate::nginx::Level;
use crate::nginx::core::log::Shown;
use crate::nginx::event::stream::Stream;
use crate::nginx::event::tls::{Connection, Context, GivenSession, Offer, Owned, Session, Store};
use crate::{ngx_debug, ngx_log};

/// Why a handshake failed: OpenSSL's number of what is wrong with the certificate, or 0.
#[derive(Clone, Copy)]
pub struct TlsFailure {
    pub code: c_int,
    pub text: &'static CStr,
}

/// A cosocket's last handshake.
#[derive(Default)]
pub struct Tls {
    verify: bool,
    keep_session: bool,
    /// Whether the caller has a certificate of its own, instead of the configured ones.
    has_certificate: bool,
    /// The name that the certificate must be for; empty for any.
    host: Vec<u8>,
    offer: Option<Rc<Offer>>,
    failure: Option<TlsFailure>,
    session: Kept,
    /// None before the connection's handshake: most connections have no TLS.
    made: Option<Box<Made>>,
    /// Who is trusted in the next handshake, instead of the configured authorities.
    trusted: Option<Store>,
    /// What the next handshake is to offer.
    next_offer: Option<Rc<Offer>>,
    /// How many bytes had been sent when the connection came out of a pool.
    sent_before: Option<i64>,
}

/// What a connection's TLS was made with; it goes with the connection into a pool.
pub struct Made {
    /// The name that the server was told; empty for none.
    server_name: Vec<u8>,
    /// By whose settings; only compared.
    context: *const Context,
    /// Who was trusted, where the context does not say it.
    trusted: Option<Store>,
    /// Whether the caller had a certificate of its own.
    has_certificate: bool,
    /// What was offered by the caller's options.
    offer: Option<Rc<Offer>>,
    /// The server is trusted, and the one of that name.
    verified: bool,
}

/// How a connection suits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suits {
    Yes,
    /// It suits if the server turns out to be the one that is meant.
    IfVerified,
    /// Its TLS is for another server, another client certificate or other settings.
    Not,
}

/// The session that the caller wants.
#[derive(Default)]
enum Kept {
    #[default]
    None,
    Here(Session),
    /// Lua owns it, and may ask for it once more.
    Given(GivenSession),
}

impl Made {
    /// Whether the server was told a name other than `name`; false if `name` is `None`.
    fn is_for_another(&self, name: Option<&[u8]>) -> bool {
        name.is_some_and(|name| !name.eq_ignore_ascii_case(&self.server_name))
    }

    /// Whether it was made with the context and the store that a handshake has now.
    fn is_by(&self, context: *const Context, trusted: Option<&Store>) -> bool {
        self.context == context
            && self.trusted.as_ref().map(Store::as_ptr) == trusted.map(Store::as_ptr)
    }
}

impl Tls {
    /// That of a connection which comes out of a pool.
    pub fn taken(made: Option<Box<Made>>, stream: Stream) -> Tls {
        Tls { made, sent_before: Some(stream.sent()), ..Tls::default() }
    }

    /// Of a connection that goes into one.
    pub fn take_made(&mut self) -> Option<Box<Made>> {
        self.made.take()
    }

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

    /// The handshake, or another look at what it showed, has succeeded.
    pub fn succeed(&mut self, connection: Connection, stream: Stream, socket: &Socket) {
        self.save_session(connection, stream);
        let context = socket.conf.get().tls_context().map_or(ptr::null(), ptr::from_ref);
        let verified = self.verify;
        let suits = self.made.as_ref().is_some_and(|made| {
            made.is_by(context, self.store(verified, socket))
                && !made.is_for_another(Some(&self.host))
        });
        match &mut self.made {
            None => {
                let trusted = self.store(verified, socket).cloned();
                let server_name = self.host.clone();
                let (has_certificate, offer) = (self.has_certificate, self.offer.clone());
                let made = Made { server_name, context, trusted, has_certificate, offer, verified };
                self.made = Some(Box::new(made));
            }
            Some(made) => made.verified |= verified && suits,
        }
    }

    /// Trusts these authorities in the next handshake, or again the configured ones.
    pub fn trust(&mut self, store: Option<Store>) {
        self.trusted = store;
    }

    /// Offers these things in the next handshake.
    pub fn offer_next(&mut self, offer: Option<Rc<Offer>>) {
        self.next_offer = offer;
    }

    pub fn take_next_offer(&mut self) -> Option<Rc<Offer>> {
        self.next_offer.take()
    }

    /// Whether the connection's handshake offered other things than the next one is to offer.
    pub fn offered_others(&self, wanted: &WantedHandshake) -> bool {
        self.made.as_ref().is_some_and(|made| made.offer != wanted.offer)
    }

    /// Whom a handshake trusts, where the context does not say it.
    pub fn store<'a>(&'a self, verify: bool, socket: &'a Socket) -> Option<&'a Store> {
        let context = || socket.conf.get().tls_context().filter(|_| verify);
        self.trusted().or_else(|| context()?.store()?.get())
    }

    pub fn trusted(&self) -> Option<&Store> {
        self.trusted.as_ref()
    }

    /// Whether the connection's handshake trusted others than the next one is to trust, which
    /// verifies the server; false if the earlier one trusted nobody.
    pub fn trusted_others(&self, socket: &Socket) -> bool {
        let Some(made) = self.made.as_ref().map(|made| made.trusted.as_ref()) else { return false };
        let named = made.is_some() || self.trusted().is_some();
        let wanted = || self.store(true, socket).map(Store::as_ptr);
        named && made.map(Store::as_ptr) != wanted()
    }

    pub fn fail(&mut self, failure: TlsFailure) {
        self.failure = Some(failure);
    }

    /// Whether the connection rested in a pool and nobody has sent anything since.
    pub fn is_untouched(&self, stream: Stream) -> bool {
        self.sent_before == Some(stream.sent())
    }

    /// Whether a connection that has had its handshake suits another one.
    pub fn suits(
        &self,
        connection: Connection,
        wanted: &WantedHandshake,
        socket: &Socket,
    ) -> Suits {
        let Some(made) = &self.made else { return Suits::Not };
        let context = socket.conf.get().tls_context();
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
        match (wanted.verify, made.is_by(context, self.store(wanted.verify, socket))) {
            (false, _) => Suits::Yes,
            (true, false) => Suits::Not,
            (true, true) if made.verified => Suits::Yes,
            (true, true) => Suits::IfVerified,
        }
    }

    /// How the last handshake ended; where it succeeded, its session, if there is one, which
    /// is the caller's from now on.
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

    pub fn save_session(&mut self, connection: Connection, stream: Stream) {
        if !self.keep_session {
            return;
        }
        let Some(session) = connection.session() else { return };
        ngx_debug!(stream.log(), "lua ssl save session: {:016X}", session.as_ptr() as usize);
        self.session = Kept::Here(session);
    }

    /// Whether the server is the one that was meant; logged where it is not.
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

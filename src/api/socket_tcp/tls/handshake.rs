//! The handshake: at once on a connection that has had one, else a wait for the other side.
//!
//! Whatever fails in a handshake fails in its event, where the result has a place for OpenSSL's
//! number, even if it failed before the caller could yield.

use std::ffi::CStr;
use std::rc::Rc;

use codec::fallible;

use super::state::TlsFailure;
use crate::api::socket_tcp::cancel::SocketWait;
use crate::api::socket_tcp::connect::Stage;
use crate::api::socket_tcp::socket::Socket;
use crate::nginx::core::log::Shown;
use crate::nginx::event::peer::Peer;
use crate::nginx::event::stream::{Direction, Stream};
use crate::nginx::event::tls::{
    BorrowedSession, ClientCertificate, Connection, Handshake, Offer, ip_address,
};
use crate::ngx_debug;
use crate::runtime::Task;
use crate::runtime::scheduler;

/// What a handshake is to do.
pub struct WantedHandshake<'a> {
    /// The session to take up again.
    pub session: Option<BorrowedSession<'a>>,
    /// Whether the caller wants this connection's session.
    pub keep_session: bool,
    pub server_name: Option<&'a [u8]>,
    pub verify: bool,
    /// Whether to ask for the OCSP status of the server's certificate.
    pub status: bool,
    pub certificate: Option<ClientCertificate<'a>>,
    /// What the caller's options say, if there are any.
    pub offer: Option<Rc<Offer>>,
}

/// How far it has come.
pub enum HandshakeProgress {
    Complete,
    /// The connection has had its handshake, and the caller has a session.
    Known,
    /// The caller yields.
    Waiting,
}

impl Socket {
    /// Begins a handshake for `task`.
    pub fn handshake(
        self: &Rc<Self>,
        task: &Rc<Task>,
        wanted: &WantedHandshake,
    ) -> Result<HandshakeProgress, &'static CStr> {
        let stream = self.stream.get().ok_or(c"closed")?;
        if let Some(connection) = Connection::of(stream).filter(|c| c.is_established()) {
            return self.handshake_again(task, connection, stream, wanted);
        }
        let connection = {
            let peer = self.peer.borrow();
            self.put_tls_on(peer.as_ref().ok_or(c"closed")?, wanted)?
        };
        self.tls.borrow_mut().begin(wanted).map_err(|_| c"no memory")?;
        match self.start(connection, stream) {
            Handshake::Done if !wanted.verify => {
                self.tls.borrow_mut().succeed(connection, stream, self);
                return Ok(HandshakeProgress::Complete);
            }
            Handshake::Done | Handshake::Failed => stream.post_read(),
            Handshake::Waiting => {}
        }
        Ok(self.wait_for_handshake(task))
    }

    /// Begins the handshake on a connection that is there.
    pub fn start(&self, connection: Connection, stream: Stream) -> Handshake {
        let progress = connection.handshake();
        ngx_debug!(self.request.get().log(), "ngx_ssl_handshake returned: {}", code(progress));
        if progress == Handshake::Waiting {
            stream.clear_timer(Direction::Write);
            stream.set_timer(Direction::Read, self.timeouts.get().connect);
        }
        progress
    }

    /// The task waits for a read event that ends the handshake.
    pub fn wait_for_handshake(self: &Rc<Self>, task: &Rc<Task>) -> HandshakeProgress {
        self.stage.replace(Stage::Handshaking);
        *self.connecting.borrow_mut() = Some(Rc::downgrade(task));
        task.wait_for(Box::new(SocketWait::to_connect(self)));
        HandshakeProgress::Waiting
    }

    /// Puts TLS on a connection, for what is wanted.
    pub fn put_tls_on(
        &self,
        peer: &Peer,
        wanted: &WantedHandshake,
    ) -> Result<Connection, &'static CStr> {
        const NOT_MADE: &CStr = c"failed to create ssl connection";
        let context = self.conf.get().tls_context().ok_or(NOT_MADE)?;
        let connection = Connection::start(peer, context).ok_or(NOT_MADE)?;
        self.prepare(connection, wanted).inspect_err(|_| connection.abandon())?;
        Ok(connection)
    }

    fn prepare(
        &self,
        connection: Connection,
        wanted: &WantedHandshake,
    ) -> Result<(), &'static CStr> {
        let log = self.request.get().log();
        if let Some(session) = wanted.session {
            if !connection.set_session(session) {
                return Err(c"ssl set session failed");
            }
            ngx_debug!(log, "lua ssl set session: {:016X}", session.as_ptr() as usize);
        }
        if let Some(certificate) = wanted.certificate {
            connection.present(certificate)?;
        }
        if let Some(offer) = &wanted.offer {
            connection.offer(offer)?;
        }
        // The extension has no place for an address: a server may refuse one there.
        let told = |name: &&[u8]| !(wanted.verify && ip_address(name).is_some());
        if let Some(name) = wanted.server_name.filter(told) {
            ngx_debug!(log, "lua ssl server name: \"{}\"", Shown(name));
            // What follows a NUL is no part of a name for the server.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = fallible::c_string(name).map_err(|_| c"no memory")?;
            if !connection.set_server_name(&name) {
                return Err(c"SSL_set_tlsext_host_name failed");
            }
        }
        if let Some(store) = self.tls.borrow().store(wanted.verify, self)
            && !connection.trust(store)
        {
            return Err(c"SSL_set1_verify_cert_store() failed");
        }
        if wanted.status {
            connection.request_status();
        }
        Ok(())
    }

    /// The handshake has finished, or has timed out.
    pub fn handshake_event(self: &Rc<Self>) {
        let Some(stream) = self.stream.get() else { return };
        self.settle_handshake(self.conclude(stream));
    }

    /// Tells the waiting task the result.
    pub fn settle_handshake(self: &Rc<Self>, result: Result<(), TlsFailure>) {
        let waiter = Socket::take_waiter(&self.connecting);
        if let Err(failure) = result {
            ngx_debug!(self.request.get().log(), "lua tcp socket handle connect error");
            self.tls.borrow_mut().fail(failure);
            self.finalize();
        }
        let Some(task) = waiter else { return };
        ngx_debug!(self.request.get().log(), "lua tcp socket waking up the current request");
        scheduler::wake_with(&task, 0, |_| {});
    }

    fn conclude(&self, stream: Stream) -> Result<(), TlsFailure> {
        const FAILED: TlsFailure = TlsFailure { code: 0, text: c"handshake failed" };
        if stream.take_timeout(Direction::Read) {
            return Err(TlsFailure { code: 0, text: c"timeout" });
        }
        stream.clear_timer(Direction::Read);
        let connection = Connection::of(stream).filter(|c| c.is_established()).ok_or(FAILED)?;
        let mut tls = self.tls.borrow_mut();
        tls.verify(connection, self)?;
        tls.succeed(connection, stream, self);
        Ok(())
    }
}

/// nginx's number of how a handshake stands.
fn code(progress: Handshake) -> i32 {
    match progress {
        Handshake::Done => 0,
        Handshake::Waiting => -2,
        Handshake::Failed => -1,
    }
}

//! The handshake: on a connection that has had one, mostly done at once; otherwise a wait for the
//! server.
//!
//! If the handshake itself fails at once, the caller yields all the same, and an event fails it:
//! only a caller that has yielded asks for a result with OpenSSL's number.

use std::ffi::CStr;
use std::rc::Rc;

use codec::fallible;

use super::state::TlsFailure;
use crate::api::socket_tcp::cancel::SocketWait;
use crate::api::socket_tcp::connect::Stage;
use crate::api::socket_tcp::socket::Socket;
use crate::config::LocationConf;
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
    /// The session to resume.
    pub session: Option<BorrowedSession<'a>>,
    /// Whether the caller wants this connection's session.
    pub keep_session: bool,
    /// The name for the server (SNI), which its certificate must be for if it is verified.
    pub server_name: Option<&'a [u8]>,
    pub verify: bool,
    /// Whether to ask for the OCSP status of the server's certificate.
    pub status: bool,
    /// The caller's client certificate; `None` for the configured ones.
    pub certificate: Option<ClientCertificate<'a>>,
    /// What the caller's options say, if there are any.
    pub offer: Option<Rc<Offer>>,
}

/// How far a handshake has come.
pub enum HandshakeProgress {
    Complete,
    /// The connection has had its handshake already, and the session that the caller has passed
    /// stays the result.
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

    /// Begins the handshake on a connection that is connected and has TLS put on it.
    pub fn start(&self, connection: Connection, stream: Stream) -> Handshake {
        let progress = connection.handshake();
        ngx_debug!(self.request.get().log(), "ngx_ssl_handshake returned: {}", code(progress));
        if progress == Handshake::Waiting {
            stream.timer(Direction::Write).clear();
            stream.timer(Direction::Read).set(self.timeouts.get().connect);
        }
        progress
    }

    /// Has the task wait for the event that ends the handshake.
    pub fn wait_for_handshake(self: &Rc<Self>, task: &Rc<Task>) -> HandshakeProgress {
        self.stage.replace(Stage::Handshaking);
        *self.connecting.borrow_mut() = Some(Rc::downgrade(task));
        task.wait_for(Box::new(SocketWait::to_connect(self)));
        HandshakeProgress::Waiting
    }

    /// Puts TLS on a connection, prepared for the handshake that is wanted. On failure, the
    /// connection is without TLS.
    pub fn put_tls_on(
        &self,
        peer: &Peer,
        wanted: &WantedHandshake,
    ) -> Result<Connection, &'static CStr> {
        const NOT_MADE: &CStr = c"failed to create ssl connection";
        let conf = self.conf.get();
        let context = LocationConf::of(&conf).tls_context().ok_or(NOT_MADE)?;
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
        // The SNI extension is for names only: a server may refuse an address there.
        let told = |name: &&[u8]| !(wanted.verify && ip_address(name).is_some());
        if let Some(name) = wanted.server_name.filter(told) {
            ngx_debug!(log, "lua ssl server name: \"{}\"", Shown(name));
            // As in C, the name for the server ends at a NUL.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = fallible::c_string(name).map_err(|_| c"no memory")?;
            if !connection.set_server_name(&name) {
                return Err(c"SSL_set_tlsext_host_name failed");
            }
        }
        if let Some(store) =
            self.tls.borrow().store(wanted.verify, LocationConf::of(&self.conf.get()))
            && !connection.trust(store)
        {
            return Err(c"SSL_set1_verify_cert_store() failed");
        }
        if wanted.status {
            connection.request_status();
        }
        Ok(())
    }

    /// An event says that the handshake has finished, or has timed out.
    pub fn handshake_event(self: &Rc<Self>) {
        let Some(stream) = self.stream.get() else { return };
        self.settle_handshake(self.conclude(stream));
    }

    /// Sets the result of the handshake, closes the socket if it has failed, and wakes the waiting
    /// task.
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

    /// The result of a handshake that has finished or timed out.
    fn conclude(&self, stream: Stream) -> Result<(), TlsFailure> {
        const FAILED: TlsFailure = TlsFailure { code: 0, text: c"handshake failed" };
        if stream.timer(Direction::Read).take_timeout() {
            return Err(TlsFailure { code: 0, text: c"timeout" });
        }
        stream.timer(Direction::Read).clear();
        let connection = Connection::of(stream).filter(|c| c.is_established()).ok_or(FAILED)?;
        let mut tls = self.tls.borrow_mut();
        tls.verify(connection, self)?;
        tls.succeed(connection, stream, self);
        Ok(())
    }
}

/// nginx's status for the progress of a handshake.
fn code(progress: Handshake) -> i32 {
    match progress {
        Handshake::Done => 0,
        Handshake::Waiting => -2,
        Handshake::Failed => -1,
    }
}

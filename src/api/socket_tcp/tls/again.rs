//! A handshake on a connection that has had one, mostly one from a pool.
//!
//! The code that put the connection into the pool may have named another server, or may not have
//! verified it. If its TLS does not suit, it is replaced by a new connection to the same address,
//! as long as nothing has been sent on it since it left the pool. Otherwise it is kept, and if the
//! caller wants the server verified, its certificate is checked now.

use std::ffi::CStr;
use std::rc::{Rc, Weak};

use super::handshake::{HandshakeProgress, WantedHandshake};
use super::state::{Suits, Tls, TlsFailure};
use crate::api::socket_failure::SocketFailure;
use crate::api::socket_tcp::cancel::SocketWait;
use crate::api::socket_tcp::connect::Stage;
use crate::api::socket_tcp::socket::Socket;
use crate::nginx::core::address::Address;
use crate::nginx::event::Refusal;
use crate::nginx::event::peer;
use crate::nginx::event::peer::{Connecting, Events, Peer, Source};
use crate::nginx::event::stream::{Direction, Stream};
use crate::nginx::event::tls::{Connection, Handshake, error_text};
use crate::ngx_debug;
use crate::runtime::Task;

impl Socket {
    /// As [`Socket::handshake`], on a connection that has had one.
    pub fn handshake_again(
        self: &Rc<Self>,
        task: &Rc<Task>,
        connection: Connection,
        stream: Stream,
        wanted: &WantedHandshake,
    ) -> Result<HandshakeProgress, &'static CStr> {
        let suits = self.tls.borrow().suits(connection, wanted, self);
        if suits == Suits::Not && self.tls.borrow().is_untouched(stream) {
            return self.reconnect(task, stream, wanted);
        }
        if self.tls.borrow().offered_others(wanted) {
            return Err(c"the connection's TLS was made with other options");
        }
        if suits != Suits::Yes && wanted.verify {
            if self.tls.borrow().trusted_others(self) {
                return Err(c"the server was verified by another trusted store");
            }
            self.tls.borrow_mut().begin(wanted).map_err(|_| c"no memory")?;
            stream.post_read();
            return Ok(self.wait_for_handshake(task));
        }
        if wanted.session.is_some() {
            return Ok(HandshakeProgress::Known);
        }
        let mut tls = self.tls.borrow_mut();
        tls.begin(wanted).map_err(|_| c"no memory")?;
        tls.save_session(connection, stream);
        Ok(HandshakeProgress::Complete)
    }

    /// Replaces the socket's connection by a new one to the same address, for another handshake. If
    /// the new connect cannot begin, the old connection stays.
    fn reconnect(
        self: &Rc<Self>,
        task: &Rc<Task>,
        old: Stream,
        wanted: &WantedHandshake,
    ) -> Result<HandshakeProgress, &'static CStr> {
        let log = self.request.get().log();
        ngx_debug!(log, "lua tcp socket ssl: the pooled connection is for another handshake");
        let (address, from) = Address::of_connection(old.fd()).map_err(error_text)?;
        let transparent = self.transparent.get();
        let source = from.map(|address| Source { address, transparent });
        let (name, errors) = (address.text(true), self.error_log());
        let (peer, waits) = match peer::connect(&address, &name, source.as_ref(), errors, log) {
            Ok(Connecting::Done(peer)) => (peer, false),
            Ok(Connecting::Waiting(peer)) => (peer, true),
            Err(Refusal::NoConnection) => return Err(c"worker_connections are not enough"),
            Err(Refusal::System(error)) => return Err(error_text(error)),
        };
        let connection = self.put_tls_on(&peer, wanted)?;
        let stream = peer.stream();
        self.replace_connection(peer);
        self.tls.borrow_mut().begin(wanted).map_err(|_| c"no memory")?;
        if waits {
            stream.timer(Direction::Write).set(self.timeouts.get().connect);
            self.stage.replace(Stage::Reconnecting(Box::new(address)));
            *self.connecting.borrow_mut() = Some(Rc::downgrade(task));
            task.wait_for(Box::new(SocketWait::to_connect(self)));
            return Ok(HandshakeProgress::Waiting);
        }
        if self.start(connection, stream) != Handshake::Waiting {
            stream.post_read();
        }
        Ok(self.wait_for_handshake(task))
    }

    /// Makes `peer` the socket's connection, as one that did not come from a pool; closes the old
    /// one.
    fn replace_connection(self: &Rc<Self>, peer: Peer) {
        peer.set_user(Rc::downgrade(self) as Weak<dyn Events>);
        self.stream.set(Some(peer.stream()));
        self.reused.set(0);
        let old = self.peer.replace(Some(peer));
        drop(old);
        drop(self.user_data.take());
        let trusted = self.tls.borrow().trusted().cloned();
        self.tls.replace(Tls::default());
        self.tls.borrow_mut().trust(trusted);
    }

    /// An event says that the new connect has finished, or has timed out.
    pub fn reconnect_event(self: &Rc<Self>, address: &Address) {
        const FAILED: TlsFailure = TlsFailure { code: 0, text: c"handshake failed" };
        let Some(stream) = self.stream.get() else { return };
        if let Err(failure) = self.check_connected(stream, address, true) {
            let text = match failure {
                SocketFailure::Timeout => c"timeout",
                SocketFailure::System(error) => error_text(error),
                _ => c"error",
            };
            return self.settle_handshake(Err(TlsFailure { code: 0, text }));
        }
        let Some(connection) = Connection::of(stream) else {
            return self.settle_handshake(Err(FAILED));
        };
        self.stage.replace(Stage::Handshaking);
        if self.start(connection, stream) != Handshake::Waiting {
            self.stage.take();
            self.handshake_event();
        }
    }
}

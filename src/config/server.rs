//! The values of the directives of a `server` or `upstream` block.

use std::cell::{OnceCell, RefCell};

use super::Phase;
use super::code::{Script, Scripts, SharedScript};
use crate::nginx::http::configuration::Configured;
use crate::nginx::http::upstream::{IdleConnections, Peer};

/// One block's configuration. nginx keeps it in the cycle's pool.
#[derive(Default)]
pub struct ServerConf {
    /// The code that chooses an `upstream` block's servers.
    pub balancer: OnceCell<Script>,
    /// The idle connections to an `upstream` block's servers.
    pub idle: IdleConnections,
    /// The code of a `server` block's TLS handshakes.
    handshake: RefCell<Scripts>,
}

impl ServerConf {
    /// The code of `phase`; `None` if there is none, or it is empty.
    pub fn script(&self, phase: Phase) -> Option<SharedScript> {
        self.handshake.borrow().get(phase).cloned()
    }

    /// Keeps the code of `phase`.
    pub fn set_script(&self, phase: Phase, script: SharedScript) {
        self.handshake.borrow_mut().set(phase, script);
    }

    /// Inherits from `outer` what is not set here.
    pub fn inherit(&self, outer: &ServerConf) {
        let merged = self.handshake.borrow().over(&outer.handshake.borrow());
        *self.handshake.borrow_mut() = merged;
    }

    /// The configuration of the server that `place` is in: that a client in a handshake asks for,
    /// and so on.
    pub fn of(place: &impl Configured) -> &ServerConf {
        place.structure()
    }

    /// The configuration of the `upstream` block whose server is being chosen.
    pub fn of_upstream(peer: &Peer) -> &ServerConf {
        peer.server_conf()
    }
}

//! What the directives of a `server` or `upstream` block say.

use std::cell::OnceCell;

use super::code::{Script, SharedScript};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::event::tls::Handshaking;
use crate::nginx::http::upstream::Peer;

/// One block's configuration. nginx keeps it in the cycle's pool.
#[derive(Default)]
pub struct ServerConf {
    /// The code that chooses an `upstream` block's servers.
    pub balancer: OnceCell<Script>,
    /// The code of a `server` block's TLS handshakes, by [`TlsPhase`].
    tls: [OnceCell<SharedScript>; 4],
}

/// A phase of a TLS handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsPhase {
    ClientHello,
    Certificate,
    SessionFetch,
    SessionStore,
}

impl ServerConf {
    /// The code of `phase`; none where the configuration names none, or it is empty.
    pub fn tls(&self, phase: TlsPhase) -> Option<&SharedScript> {
        self.tls[phase as usize].get()
    }

    /// False where the block has code for `phase` already.
    pub fn set_tls(&self, phase: TlsPhase, script: SharedScript) -> bool {
        self.tls[phase as usize].set(script).is_ok()
    }

    /// Takes over what `outer` says and this block does not.
    pub fn inherit(&self, outer: &ServerConf) {
        for (inner, outer) in self.tls.iter().zip(&outer.tls) {
            if let Some(script) = outer.get() {
                let _ = inner.set(script.clone());
            }
        }
    }

    /// The configuration of the server that a client in a handshake asks for.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn of_handshake(at: Handshaking) -> &'static ServerConf {
        at.configuration().get()
    }

    /// The configuration of the `upstream` block whose server is asked for.
    pub fn of_upstream(peer: Peer) -> &'static ServerConf {
        peer.server_conf()
    }
}

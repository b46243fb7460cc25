//! What the directives of a `server` or `upstream` block say.

use std::cell::OnceCell;

use super::code::Script;
use crate::nginx::upstream::Peer;

/// One block's configuration. nginx keeps it in the cycle's pool.
#[derive(Default)]
pub struct ServerConf {
    /// The code that chooses an `upstream` block's servers.
    pub balancer: OnceCell<Script>,
}

impl ServerConf {
    /// The configuration of the `upstream` block whose server is asked for.
    pub fn of_upstream(peer: Peer) -> &'static ServerConf {
        // SAFETY: create_server_conf made it in the cycle's pool, which outlives every request of
        // the cycle; it is only read after configuration.
        unsafe { &*peer.server_conf(crate::module()).cast() }
    }
}

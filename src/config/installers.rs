//! What a directive sets in motion beside its value: who answers for a location, and who chooses an
//! `upstream` block's servers. The handlers belong to rooms above this one, which are handed down
//! here once.

use std::sync::OnceLock;

use crate::nginx::core::conf::Conf;

/// Each makes its handler that of the block that is being read.
#[derive(Clone, Copy)]
pub struct Installers {
    /// `content_by_lua*`.
    pub content: fn(Conf),
    /// `balancer_by_lua*`.
    pub balancer: fn(Conf),
}

static INSTALLERS: OnceLock<Installers> = OnceLock::new();

/// Hands them down, before nginx reads a configuration. A second time changes nothing.
pub fn set(installers: Installers) {
    let _ = INSTALLERS.set(installers);
}

/// Calls the one that `which` picks.
pub(super) fn run(cf: Conf, which: fn(&Installers) -> fn(Conf)) {
    if let Some(installers) = INSTALLERS.get() {
        which(installers)(cf);
    }
}

//! Handlers that a directive installs, besides setting a value: a location's content handlers, and
//! an `upstream` block's balancer. They belong to layers above this one, which hands their
//! installers down here once.

use std::sync::OnceLock;

use crate::nginx::core::conf::Conf;

/// Functions that install a handler for the block that is being read.
#[derive(Clone, Copy)]
pub struct Installers {
    /// `content_by_lua*`.
    pub content: fn(Conf),
    /// `lua_status`.
    pub status: fn(Conf),
    /// `lua_threads`.
    pub threads: fn(Conf),
    /// `lua_profile`.
    pub profile: fn(Conf),
    /// `balancer_by_lua*`.
    pub balancer: fn(Conf),
}

static INSTALLERS: OnceLock<Installers> = OnceLock::new();

/// Sets the installers, before nginx reads a configuration. A second call changes nothing.
pub fn set(installers: Installers) {
    let _ = INSTALLERS.set(installers);
}

/// Calls the one that `which` picks.
pub(super) fn run(cf: Conf, which: fn(&Installers) -> fn(Conf)) {
    if let Some(installers) = INSTALLERS.get() {
        which(installers)(cf);
    }
}

//! Whether a location's resolver is one that a `resolver` directive has given servers to ask. Where there is no
//! such directive, nginx makes a resolver without servers, and Angie one with those of the system.

use crate::nginx::sys::{ngx_array_t, ngx_resolver_connection_t, ngx_resolver_t};

/// The servers of a resolver: nginx has an array of them, Angie a list.
trait Servers {
    fn are_there(&self) -> bool;
}

impl Servers for ngx_array_t {
    fn are_there(&self) -> bool {
        self.nelts != 0
    }
}

impl Servers for *mut ngx_resolver_connection_t {
    fn are_there(&self) -> bool {
        !self.is_null()
    }
}

/// Whether `resolver` has servers other than those of the system.
pub(super) fn are_configured(resolver: &ngx_resolver_t) -> bool {
    resolver.connections.are_there() && !is_systems(resolver)
}

/// Whether `resolver` asks the servers of the system, and no others.
#[cfg(ngx_resolver_resolv_conf)]
fn is_systems(resolver: &ngx_resolver_t) -> bool {
    // SAFETY: a string of the configuration, which lives as long as the resolver.
    let file = unsafe { crate::nginx::core::strings::bytes(resolver.resolv_conf) };
    // Servers that are named beside the file come after the first one, which stands for the file.
    let is_alone = resolver.connections == resolver.last_conf_connection;
    file == b"/etc/resolv.conf" && is_alone
}

#[cfg(not(ngx_resolver_resolv_conf))]
fn is_systems(_: &ngx_resolver_t) -> bool {
    false
}

//! Looking names up as the system does: in a file of hosts, then with the servers of `resolv.conf`, by
//! a resolver of nginx's that no directive has made.

use std::ptr::NonNull;

use codec::fallible::{self, Grow, OutOfMemory};
use codec::system_names::{Hosts, ResolvConf};

use crate::nginx::core::address::Address;
use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::sys::{ngx_resolver_create, ngx_resolver_t};

/// What looks names up where a location has no `resolver`.
pub struct SystemNames {
    hosts: Hosts,
    conf: ResolvConf,
    /// None without a server to ask. It is in the cycle's pool, as this is.
    resolver: Option<NonNull<ngx_resolver_t>>,
}

impl SystemNames {
    /// For the configuration that is being read; what goes wrong is logged.
    pub fn new(cf: Conf, hosts: Hosts, conf: ResolvConf) -> Result<SystemNames, ConfError> {
        let mut servers = Vec::new();
        for server in &conf.servers {
            let name = fallible::format(format_args!("{server}"))?;
            servers.try_push(cf.pool()?.copy_str(name.as_bytes())?)?;
        }
        if servers.is_empty() {
            return Ok(SystemNames { hosts, conf, resolver: None });
        }
        // SAFETY: the live parser; nginx reads the array during the call and keeps the names, which
        // are in the cycle's pool.
        let resolver =
            unsafe { ngx_resolver_create(cf.as_ptr(), servers.as_mut_ptr(), servers.len()) };
        let resolver = Some(NonNull::new(resolver).ok_or(ConfError::Logged)?);
        Ok(SystemNames { hosts, conf, resolver })
    }

    /// The addresses of a name in the file of hosts, without a port; none if it is not there.
    pub(super) fn addresses(&self, name: &[u8]) -> Result<Vec<Address>, OutOfMemory> {
        fallible::collect(self.hosts.find(name).map(|address| Address::of_ip(address, 0)))
    }

    pub(super) fn resolver(&self) -> Option<NonNull<ngx_resolver_t>> {
        self.resolver
    }

    /// The names to ask the servers for, one after the other.
    pub(super) fn candidates(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, OutOfMemory> {
        self.conf.candidates(name)
    }
}

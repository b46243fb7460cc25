//! The server of a socket, in the lines about its errors.

use std::cell::Ref;
use std::fmt;

use codec::fallible::{Grow, OutOfMemory};

use super::connect::Target;
use super::socket::Socket;
use crate::lua::resty_core;
use crate::nginx::core::address::Address;
use crate::nginx::core::log::Shown;

/// Lines about time-outs name the server since this release.
const NAMED_SINCE: u32 = 10_030;

/// The server as the script named it; without a host where no line names it.
#[derive(Default)]
pub struct Server {
    host: Vec<u8>,
    /// 0 for a unix domain socket.
    port: u16,
}

/// The end of a line: `, upstream: HOST:PORT(ADDRESS)`, or nothing.
pub struct NamedServer<'a> {
    server: Ref<'a, Server>,
    address: Option<Address>,
}

impl Socket {
    /// Notes where a connect is to go, if lines are to name it.
    pub fn note_server(&self, target: &Target) -> Result<(), OutOfMemory> {
        let mut server = self.server.borrow_mut();
        server.host.clear();
        if self.logs_errors() && resty_core::presented() >= NAMED_SINCE {
            server.host.try_append(&target.host)?;
            let is_path =
                target.host.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
            server.port = if is_path { 0 } else { target.port };
        }
        Ok(())
    }

    /// Whether lines name the server.
    pub fn names_server(&self) -> bool {
        !self.server.borrow().host.is_empty()
    }

    /// The end of a line about the connection to `address`.
    pub fn named_server(&self, address: Option<Address>) -> NamedServer<'_> {
        NamedServer { server: self.server.borrow(), address }
    }

    /// The end of a line about the connection that there is.
    pub fn connected_server(&self) -> NamedServer<'_> {
        let stream = self.stream.get();
        let address = stream.and_then(|stream| Address::of_connection(stream.fd()).ok());
        self.named_server(address.map(|(peer, _)| peer))
    }
}

impl fmt::Display for NamedServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port } = &*self.server;
        if host.is_empty() {
            return Ok(());
        }
        write!(f, ", upstream: {}", Shown(host))?;
        if *port != 0 {
            write!(f, ":{port}")?;
        }
        match &self.address {
            Some(address) => write!(f, "({})", address.text(false)),
            None => Ok(()),
        }
    }
}

//! The name of a socket's server in the log lines about its errors.

use codec::fallible::{self, OutOfMemory};

use super::connect::Target;
use super::socket::Socket;
use crate::api::socket_log;
use crate::nginx::core::log::Log;

/// The longest host name that is logged in full, and how many bytes are logged of a longer one: as
/// in the C module.
const MAX_HOST: usize = 31;
const SHOWN_OF_LONGER: usize = 28;

impl Socket {
    /// Makes the log for errors of a connect to `target`.
    pub fn note_server(&self, target: &Target) -> Result<(), OutOfMemory> {
        let shortened;
        let host = match target.host.get(..SHOWN_OF_LONGER) {
            Some(start) if target.host.len() > MAX_HOST => {
                shortened = fallible::concat(&[start, b"..."])?;
                &shortened
            }
            _ => &*target.host,
        };
        let log = self.request.get().log();
        *self.server.borrow_mut() = socket_log::naming(host, target.port, log)?;
        Ok(())
    }

    /// Whether lines about errors name the server.
    pub fn names_server(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// The log for errors of the socket, from when it begins to connect until it is closed: the
    /// request's log, unless lines name the server.
    pub fn error_log(&self) -> Log {
        socket_log::of(&self.server, self.request.get())
    }
}

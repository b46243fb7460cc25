//! The server of a socket, which the lines about its errors name.

use codec::fallible::{self, OutOfMemory};

use super::connect::Target;
use super::socket::Socket;
use crate::api::socket_log;
use crate::nginx::core::log::Log;
use crate::nginx::event::server_log::ServerLog;

/// How long a host's name may be, and how much of a longer one is shown.
const MAX_HOST: usize = 31;
const SHOWN_OF_LONGER: usize = 28;

impl Socket {
    /// Notes where a connect is to go, for the lines about its errors.
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

    /// Whether lines name the server.
    pub fn names_server(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// The log of errors of the connection, while there is one or one is being made.
    pub fn error_log(&self) -> Log {
        let server = self.server.borrow();
        server.as_ref().map_or_else(|| self.request.get().log(), ServerLog::log)
    }
}

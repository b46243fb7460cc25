//! The logs to which cosockets write their errors.

use std::cell::RefCell;

use codec::fallible::OutOfMemory;

use crate::lua::resty_core;
use crate::nginx::Request;
use crate::nginx::core::log::Log;
use crate::nginx::event::server_log::ServerLog;

/// The first release of the C module whose log lines about cosocket errors name the server.
const NAMED_SINCE: u32 = 10_030;

/// A log that adds the server `host` to each line before what `log`, the request's, adds. `None` if
/// the release that lua-resty-core asks for does not name servers.
pub fn naming(host: &[u8], port: u16, log: Log) -> Result<Option<ServerLog>, OutOfMemory> {
    if resty_core::presented() < NAMED_SINCE {
        return Ok(None);
    }
    ServerLog::new(log, host, port).map(Some)
}

/// The log of a socket that belongs to `request`: what [`naming`] has given for its server, or the request's.
pub fn of(server: &RefCell<Option<ServerLog>>, request: Request) -> Log {
    server.borrow().as_ref().map_or_else(|| request.log(), ServerLog::log)
}

//! The logs to which cosockets write their errors.

use codec::fallible::OutOfMemory;

use crate::lua::resty_core;
use crate::nginx::core::log::Log;
use crate::nginx::event::server_log::ServerLog;

/// Lines about errors name the server since this release.
const NAMED_SINCE: u32 = 10_030;

/// The log in front of a request's log that names the server `host`; none where the release that
/// is presented does not name it.
pub fn naming(host: &[u8], port: u16, log: Log) -> Result<Option<ServerLog>, OutOfMemory> {
    if resty_core::presented() < NAMED_SINCE {
        return Ok(None);
    }
    ServerLog::new(log, host, port).map(Some)
}

//! The log of a request in its log phase. What the code of that phase makes may outlive the
//! connection, whose log it would use otherwise.

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_connection_t, ngx_http_log_ctx_t, ngx_log_t};

/// A log that lives as long as the request.
#[repr(C)]
struct Both {
    log: ngx_log_t,
    context: ngx_http_log_ctx_t,
}

/// The request's own log in place of its connection's.
pub struct OwnLog {
    connection: *mut ngx_connection_t,
    before: *mut ngx_log_t,
    own: *mut ngx_log_t,
}

impl OwnLog {
    /// Runs `work` with a log like that of the connection of `request` in that one's place.
    pub fn during<R>(request: Request, work: impl FnOnce(&OwnLog) -> R) -> Result<R, OutOfMemory> {
        Ok(work(&OwnLog::enter(request)?))
    }

    fn enter(request: Request) -> Result<OwnLog, OutOfMemory> {
        let connection = request.connection();
        // SAFETY: a live request and its connection, whose log's data is nginx's context of it;
        // both are copied into fresh memory of the request's pool.
        unsafe {
            let before = (*connection).log;
            let both: *mut Both = request.pool().bytes_aligned(size_of::<Both>())?.cast().as_ptr();
            both.write(Both { log: before.read(), context: context(before).read() });
            (*both).log.data = (&raw mut (*both).context).cast();
            let own = &raw mut (*both).log;
            (*connection).log = own;
            Ok(OwnLog { connection, before, own })
        }
    }

    pub(super) fn as_ptr(&self) -> *mut ngx_log_t {
        self.own
    }
}

impl Drop for OwnLog {
    fn drop(&mut self) {
        // SAFETY: `during` drops it before it returns to nginx's log phase, and only after that
        // nginx ends the request and its connection.
        unsafe { (*self.connection).log = self.before }
    }
}

/// nginx's context of the log of a client's connection.
///
/// # Safety
/// `log` must be the live log of such a connection.
pub(super) unsafe fn context(log: *mut ngx_log_t) -> *mut ngx_http_log_ctx_t {
    // SAFETY: a live log, the contract of this function.
    unsafe { (*log).data.cast() }
}

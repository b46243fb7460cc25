//! TLS through nginx's own layer (`ngx_ssl_*`) and the OpenSSL that nginx's process has.
//!
//! nginx-sys binds OpenSSL's functions and types with nginx's; its symbols are resolved in nginx
//! itself, so there is one libssl in the process. What OpenSSL's headers have as macros is
//! spelled out here by the functions behind them.

mod connection;
mod context;
mod session;

pub use connection::{Connection, Handshake};
pub use context::{Context, Settings};
pub use session::Session;

use super::sys::ERR_clear_error;

/// Empties OpenSSL's queue of errors, which a failed call of its may have left something in: the
/// next call on any connection would take it for its own.
fn clear_errors() {
    // SAFETY: the queue of this thread; no arguments.
    unsafe { ERR_clear_error() }
}

//! TLS through nginx's own layer (`ngx_ssl_*`) and the OpenSSL that nginx was linked with.
//!
//! nginx-sys has bindings for OpenSSL too. Their symbols are resolved in the running nginx, so
//! there is only one libssl in the process. Macros of OpenSSL's headers are replaced here by the
//! functions behind them.

mod chain;
mod client_hello;
mod connection;
mod context;
mod early_choice;
mod error_text;
mod handshake;
mod hello_session;
mod key_log;
mod lent;
mod objects;
pub mod ocsp;
mod offer;
mod parked;
pub mod pem;
mod protocols;
mod secrets;
mod session;
mod ssl;
mod system_store;
mod upstream;
pub mod verify;

pub use chain::Chain;
pub use connection::{ClientCertificate, Connection, Handshake, ip_address};
pub use context::{Authorities, Context, Settings};
pub use early_choice::CHOOSES_EARLY;
pub use error_text::error_text;
pub use handshake::{Handshaking, NewSession, ServerContext, Verdict};
pub use lent::take_back;
pub use objects::{Certificate, Owned, PrivateKey, Result, Store};
pub use offer::Offer;
pub use parked::Parked;
pub use protocols::{DEFAULT_PROTOCOLS, NEWER_PROTOCOLS, PROTOCOLS, VERSIONS};
pub use session::{BorrowedSession, GivenSession, Session};
pub use ssl::{Client, Kept, RawAddress, Ssl, register_slot};
pub use system_store::SystemStore;
pub use upstream::{Judgement, UpstreamContext, Verification};

use crate::nginx::sys::ERR_clear_error;

/// Empties OpenSSL's error queue: the next call on any connection would take what a failed call has
/// left there for its own error.
fn clear_errors() {
    // SAFETY: the queue of this thread; no arguments.
    unsafe { ERR_clear_error() }
}

//! The phases of a client's TLS handshake, each a short file. `driver` runs those that can wait.

mod certificate;
mod client_hello;
mod driver;
mod session_fetch;
mod session_store;

use crate::config::{ServerConf, TlsPhase};
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::event::tls::{ServerContext, register_slot};

/// Has the server that is being merged ask the code that `server` has for it.
pub fn install(cf: Conf, server: &ServerConf) -> ConfResult {
    const ALL: [TlsPhase; 4] = [
        TlsPhase::ClientHello,
        TlsPhase::Certificate,
        TlsPhase::SessionFetch,
        TlsPhase::SessionStore,
    ];
    for phase in ALL {
        if server.tls(phase).is_none() {
            continue;
        }
        register_slot()?;
        match (ServerContext::of(cf), phase) {
            (Some(context), TlsPhase::ClientHello) => {
                context.on_client_hello(client_hello::enter);
            }
            (Some(context), TlsPhase::Certificate) => context.on_certificate(certificate::enter),
            (Some(context), TlsPhase::SessionFetch) => context.on_lookup(session_fetch::enter),
            (Some(context), TlsPhase::SessionStore) => {
                context.on_new_session(session_store::enter);
            }
            (None, TlsPhase::ClientHello | TlsPhase::Certificate) => {
                return Err(cf.refuse_plainly(b"no ssl configured for the server"));
            }
            // The code of the `http` block is for the servers that have TLS.
            (None, TlsPhase::SessionFetch | TlsPhase::SessionStore) => {}
        }
    }
    Ok(())
}

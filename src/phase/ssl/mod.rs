//! The phases of TLS handshakes: of a client's, each a short file, where `driver` runs those that
//! can wait, and of one with a server, `upstream`.

mod certificate;
mod client_hello;
mod driver;
mod session_fetch;
mod session_store;
pub mod upstream;

use crate::config::phases::{PHASES, Phase};
use crate::config::{MainConf, ServerConf};
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::event::tls::{CHOOSES_EARLY, ServerContext, register_slot};

/// Installs the callbacks for the handshake code in `server`, in the server that is being merged.
pub fn install(cf: Conf, server: &ServerConf) -> ConfResult {
    // Once nginx has chosen the server, OpenSSL asks that one's callback: all servers need the same.
    let at_hello = MainConf::of(&cf).used().has(Phase::SslClientHello);
    if CHOOSES_EARLY && at_hello {
        register_slot()?;
        if let Some(context) = ServerContext::of(cf) {
            context.on_client_hello(client_hello::enter);
        }
    }
    for row in PHASES {
        let phase = row.phase;
        if server.script(phase).is_none() {
            continue;
        }
        register_slot()?;
        match (ServerContext::of(cf), phase) {
            (Some(context), Phase::SslClientHello) => {
                context.on_client_hello(client_hello::enter);
            }
            (Some(context), Phase::SslCertificate) => context.on_certificate(certificate::enter),
            (Some(context), Phase::SslSessionFetch) => {
                context.on_lookup(session_fetch::enter);
                if server.script(Phase::SslClientHello).is_none() && !(CHOOSES_EARLY && at_hello) {
                    context.on_client_hello(session_fetch::look_ahead);
                }
            }
            (Some(context), Phase::SslSessionStore) => {
                context.on_new_session(session_store::enter);
            }
            (None, Phase::SslClientHello | Phase::SslCertificate) => {
                return Err(cf.refuse_plainly(b"no ssl configured for the server"));
            }
            // Code inherited from the `http` block only concerns servers that have TLS.
            _ => {}
        }
    }
    Ok(())
}

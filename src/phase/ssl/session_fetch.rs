//! `ssl_session_fetch_by_lua*`: a client wants to resume a session.
//!
//! OpenSSL cannot wait where it asks for the session. So the code runs when the ClientHello has
//! been read, if it is sure that OpenSSL will ask; otherwise it must not wait: code that does is
//! ended, and the handshake becomes a full one.

use codec::fallible;

use super::driver::{self, HandshakePhase};
use crate::config::ServerConf;
use crate::nginx::event::tls::{Handshaking, Session, Verdict};
use crate::nginx::http::log_context;
use crate::ngx_debug;
use crate::runtime::Phase;
use crate::runtime::handshake::{Handshake, Words};

static SESSION_FETCH: HandshakePhase = HandshakePhase {
    phase: Phase::SslSessionFetch,
    words: Words {
        phase: "ssl_session_fetch_by_lua*",
        formerly: "ssl_session_fetch_by_lua*",
        callback: "sess get cb",
        support: "OpenSSL",
        aborted: "sess_fetch cb",
    },
    action: c"fetching SSL session by lua",
    log_handler: log_context::ssl_session_fetch,
};

/// Runs the code early, where the ClientHello says that a session will be asked for. What comes of
/// it does not refuse the handshake.
pub fn look_ahead(at: Handshaking) -> Verdict {
    let verdict = match at.ssl.hello_session() {
        Some(id) if !at.client.is_quic() => fetch(at, id, true),
        _ => None,
    };
    if verdict == Some(Verdict::Wait) { Verdict::Wait } else { Verdict::Accept }
}

pub fn enter(at: Handshaking, id: &[u8]) -> Option<Session> {
    let log = at.client.log();
    if at.ssl.is_tls13_or_newer() {
        let version = at.ssl.version();
        ngx_debug!(
            log,
            "ssl_session_fetch_by_lua*: skipped since TLS version >= 1.3 ({version:x})"
        );
        return None;
    }
    fetch(at, id, false)?;
    Handshake::of(at.ssl)?.session.take()
}

/// Runs the code, once; `None` if there is none, or no memory.
fn fetch(at: Handshaking, id: &[u8], can_wait: bool) -> Option<Verdict> {
    ServerConf::of(&at).script(Phase::SslSessionFetch)?;
    let handshake = driver::handshake(at)?;
    *handshake.session_id.borrow_mut() = fallible::copy(id).ok()?;
    Some(driver::enter(at, &SESSION_FETCH, can_wait))
}

//! `ssl_session_fetch_by_lua*`: a client wants to resume a session.
//!
//! OpenSSL cannot wait for a session: code that waits is ended, and the handshake becomes a full
//! one.

use codec::fallible;

use super::driver::{self, HandshakePhase};
use crate::config::ServerConf;
use crate::nginx::Level;
use crate::nginx::event::tls::{Handshaking, Session, Verdict};
use crate::nginx::http::log_context;
use crate::runtime::Phase;
use crate::runtime::handshake::Words;
use crate::{ngx_debug, ngx_log};

static SESSION_FETCH: HandshakePhase = HandshakePhase {
    phase: Phase::SslSessionFetch,
    words: Words {
        phase: "ssl_session_fetch_by_lua*",
        formerly: "ssl_session_fetch_by_lua*",
        callback: "sess get cb",
        aborted: "sess_fetch cb",
    },
    action: c"fetching SSL session by lua",
    log_handler: log_context::ssl_session_fetch,
};

pub fn enter(at: Handshaking, id: &[u8]) -> Option<Session> {
    let log = at.client.log();
    if driver::is_without_sessions(at) {
        let version = at.ssl.version();
        ngx_debug!(
            log,
            "ssl_session_fetch_by_lua*: skipped since TLS version >= 1.3 ({version:x})"
        );
        return None;
    }
    ServerConf::of_handshake(at).script(Phase::SslSessionFetch)?;
    let handshake = driver::handshake(at)?;
    *handshake.session_id.borrow_mut() = fallible::copy(id).ok()?;
    if driver::enter(at, &SESSION_FETCH) == Verdict::Wait {
        ngx_log!(
            log,
            Level::Crit,
            "lua: cannot yield in sess get cb: missing async sess get cb support in OpenSSL"
        );
        handshake.abandon();
    }
    handshake.session.take()
}

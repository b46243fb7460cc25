//! `ssl_client_hello_by_lua*`: runs when the ClientHello has been read.

use super::driver::{self, HandshakePhase};
use super::session_fetch;
use crate::nginx::event::tls::{Handshaking, Verdict};
use crate::nginx::http::log_context;
use crate::runtime::Phase;
use crate::runtime::handshake::Words;

static CLIENT_HELLO: HandshakePhase = HandshakePhase {
    phase: Phase::SslClientHello,
    words: Words {
        phase: "ssl_client_hello_by_lua",
        formerly: "lua_client_hello_by_lua",
        callback: "client hello cb",
        support: "nginx",
        aborted: "client hello cb",
    },
    action: c"loading SSL client hello by lua",
    log_handler: log_context::ssl_client_hello,
};

pub fn enter(at: Handshaking) -> Verdict {
    match driver::enter(at, &CLIENT_HELLO, true) {
        Verdict::Accept => session_fetch::look_ahead(at),
        verdict => verdict,
    }
}

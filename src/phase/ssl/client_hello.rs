//! `ssl_client_hello_by_lua*`: runs when the ClientHello has been read.

use super::driver::{self, HandshakePhase};
use super::session_fetch;
use crate::config::ServerConf;
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
    match run(at) {
        Verdict::Accept => session_fetch::look_ahead(at),
        verdict => verdict,
    }
}

/// Runs code if the default server of the address has some. If nginx knows already which server the client asks
/// for, it is that one's own, if there is any.
fn run(at: Handshaking) -> Verdict {
    let has_code = |at: &Handshaking| ServerConf::of(at).script(Phase::SslClientHello).is_some();
    let default = at.of_default_server();
    if !has_code(&default) {
        return Verdict::Accept;
    }
    driver::enter(if has_code(&at) { at } else { default }, &CLIENT_HELLO, true)
}

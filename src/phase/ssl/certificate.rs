//! `ssl_certificate_by_lua*`: before the server's certificate is chosen.

use super::driver::{self, HandshakePhase};
use crate::nginx::event::tls::{Handshaking, Verdict};
use crate::nginx::http::log_context;
use crate::runtime::Phase;
use crate::runtime::handshake::Words;

static CERTIFICATE: HandshakePhase = HandshakePhase {
    phase: Phase::SslCertificate,
    words: Words {
        phase: "ssl_certificate_by_lua",
        formerly: "lua_certificate_by_lua",
        callback: "cert cb",
        support: "nginx",
        aborted: "cert cb",
    },
    action: c"loading SSL certificate by lua",
    log_handler: log_context::ssl_certificate,
};

pub fn enter(at: Handshaking) -> Verdict {
    driver::enter(at, &CERTIFICATE, true)
}

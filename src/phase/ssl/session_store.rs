//! `ssl_session_store_by_lua*`: gets a session that the client may resume later. It cannot wait.

use std::rc::Rc;

use codec::fallible;

use super::driver;
use crate::config::ServerConf;
use crate::nginx::Status;
use crate::nginx::event::tls::NewSession;
use crate::nginx::http::log_context;
use crate::ngx_debug;
use crate::phase::synchronous;
use crate::runtime::handshake::take_back;
use crate::runtime::{Context, Phase, fake_request};

pub fn enter(new: NewSession) {
    let log = new.client.log();
    let Some(at) = new.handshaking else {
        let version = new.ssl.version();
        ngx_debug!(
            log,
            "ssl_session_store_by_lua*: skipped since TLS version >= 1.3 ({version:x})"
        );
        return;
    };
    let session = new.session;
    let reusable = u8::from(at.client.is_reusable());
    ngx_debug!(log, "ssl session store: connection reusable: {reusable}");
    let Some(script) = ServerConf::of(&at).script(Phase::SslSessionStore) else {
        return;
    };
    let Some(handshake) = driver::handshake(at) else { return };
    let Ok(id) = fallible::copy(session.id()) else { return };
    *handshake.session_id.borrow_mut() = id;
    let outer = handshake.session.replace(Some(session));
    at.client.set_action(c"storing SSL session by lua");
    let handler = log_context::ssl_session_store;
    if let Some(context) = driver::fake_request(at, Phase::SslSessionStore, handler) {
        let result = synchronous::run_plainly(&context, &script, Phase::SslSessionStore);
        let rc = result.map_or(Status::ERROR, |()| Status::OK);
        ngx_debug!(
            log,
            "ssl_session_store_by_lua*: handler return value: {}, sess new cb exit code: 0",
            rc.0
        );
        end(&context, rc);
    }
    at.client.set_action(c"SSL handshaking");
    *handshake.session.borrow_mut() = outer;
}

fn end(context: &Rc<Context>, rc: Status) {
    take_back(context);
    fake_request::finalize(context, rc);
}

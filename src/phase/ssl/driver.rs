//! The driver of the phases of a TLS handshake that can wait.
//!
//! OpenSSL calls the phase in the middle of nginx's handshake, and again each time that nginx
//! continues the handshake. The first time, the phase's code starts in a fake request that uses the
//! client's TLS connection; the answer is "wait" until the code ends.

use std::ffi::CStr;
use std::rc::Rc;

use crate::config::code::SharedScript;
use crate::config::{MainConf, ServerConf};
use crate::nginx::Level;
use crate::nginx::core::log::Shown;
use crate::nginx::event::tls::{Handshaking, Verdict};
use crate::nginx::http::fake;
use crate::nginx::http::log_context::LogHandler;
use crate::phase::runner;
use crate::runtime::handshake::{Handshake, Words, abandon};
use crate::runtime::{Context, Phase, fake_request, scheduler};
use crate::{ngx_debug, ngx_log};

/// A phase whose code can wait.
pub struct HandshakePhase {
    pub phase: Phase,
    pub words: Words,
    /// The action that nginx's log lines name (`while …`).
    pub action: &'static CStr,
    pub log_handler: LogHandler,
}

/// Called by OpenSSL: for the first time in a handshake, or again. `can_wait` says whether OpenSSL
/// lets the code wait there.
pub fn enter(at: Handshaking, waiting: &'static HandshakePhase, can_wait: bool) -> Verdict {
    let log = at.client.log();
    let reusable = u8::from(at.client.is_reusable());
    ngx_debug!(log, "{}: connection reusable: {reusable}", waiting.phase.row().short);
    let known = Handshake::of(at.ssl).and_then(|handshake| handshake.run_of(waiting.phase));
    if let Some(run) = known {
        if run.verdict != Verdict::Wait {
            let (phase, callback) = (waiting.words.beginning(), waiting.words.callback);
            ngx_debug!(log, "{phase}: {callback} exit code: {}", run.verdict.code());
        }
        return run.verdict;
    }
    start(at, waiting, can_wait).unwrap_or(Verdict::Refuse)
}

/// Starts the phase's code and runs it until it waits or ends. `None` if it cannot start or cannot
/// wait here, or without memory, which has been logged.
fn start(at: Handshaking, waiting: &'static HandshakePhase, can_wait: bool) -> Option<Verdict> {
    at.client.set_action(waiting.action);
    let Some(script) = ServerConf::of(&at).script(waiting.phase) else {
        ngx_log!(
            at.client.log(),
            Level::Alert,
            "no {} defined in server {}",
            waiting.phase.context_name(),
            Shown(at.configured_name())
        );
        return None;
    };
    let Some((handshake, context)) = begin(at, waiting) else {
        at.client.log().write(Level::Err, b"no memory to run Lua code");
        return None;
    };
    handshake.begin(waiting.phase, &context);
    run(&context, &script);
    let run = handshake.run_of(waiting.phase)?;
    if run.verdict == Verdict::Wait {
        if !can_wait || at.client.is_quic() {
            waiting.words.log_cannot_wait(at.client);
        } else if handshake.suspend(&context, &waiting.words).is_ok() {
            return Some(run.verdict);
        } else {
            let callback = waiting.words.callback;
            ngx_log!(at.client.log(), Level::Crit, "lua: no memory to wait in {callback}");
        }
        abandon(&context);
        // What the code has found before its wait does not count.
        handshake.session.take();
        return None;
    }
    let (phase, callback) = (waiting.words.beginning(), waiting.words.callback);
    ngx_debug!(
        at.client.log(),
        "{phase}: handler return value: {}, {callback} exit code: {}",
        run.rc.0,
        run.verdict.code()
    );
    at.client.set_action(c"SSL handshaking");
    Context::retire(context);
    Some(run.verdict)
}

/// The handshake's state, and the context of a fake request for a phase's code; `None` without memory.
fn begin(at: Handshaking, waiting: &HandshakePhase) -> Option<(Rc<Handshake>, Rc<Context>)> {
    Some((handshake(at)?, fake_request(at, waiting.phase, waiting.log_handler)?))
}

/// Runs the code until it waits or ends. Code that cannot start ends as after an error.
fn run(context: &Rc<Context>, script: &SharedScript) {
    match runner::load(context, script) {
        Ok(thread) => scheduler::start_fake(context, thread, || 0),
        Err(_) => scheduler::fail(context),
    }
}

/// The handshake's state; made at the first use.
pub fn handshake(at: Handshaking) -> Option<Rc<Handshake>> {
    Handshake::of(at.ssl).or_else(|| Handshake::attach(at, MainConf::of(&at).vm()?).ok())
}

/// A fake request that uses the client's TLS connection.
pub fn fake_request(at: Handshaking, phase: Phase, log_handler: LogHandler) -> Option<Rc<Context>> {
    let vm = MainConf::of(&at).vm()?;
    let request = fake::create(&at.origin(), Some(log_handler)).ok()?;
    at.client.lend(&request);
    fake_request::begin(request, vm, phase).ok()
}

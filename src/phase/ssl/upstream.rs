//! `proxy_ssl_certificate_by_lua*` and `proxy_ssl_verify_by_lua*`: a handshake with the server that
//! a request is passed to.
//!
//! nginx continues such a handshake only on network events, so the code cannot wait. It runs for
//! the request itself, with its `ngx.ctx` and variables.

use std::ffi::CStr;
use std::rc::Rc;

use codec::fallible;

use crate::config::LocationConf;
use crate::config::phases::{PHASES, Phase, Place};
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::event::tls::{Judgement, UpstreamContext, Verification};
use crate::nginx::{Request, Status};
use crate::ngx_debug;
use crate::phase::{runner, synchronous};
use crate::runtime::Context;
use crate::runtime::context::End;

/// Installs the callbacks for the code in force in the location that is being merged. A location
/// with such code of its own must pass requests on over TLS.
pub fn install(cf: Conf, location: &LocationConf) -> ConfResult {
    for row in PHASES.iter().filter(|row| row.place == Place::UpstreamHandshake) {
        if location.script(row.phase).is_none() {
            continue;
        }
        let mut has_tls = false;
        for context in UpstreamContext::all_of(cf) {
            has_tls = true;
            if row.phase == Phase::ProxySslVerify {
                context.on_verify(verify);
            } else {
                context.on_certificate(certificate);
            }
        }
        let is_own = location.written.borrow().scripts.get(row.phase).is_some();
        if is_own && !has_tls {
            let name = row.name;
            let text =
                fallible::text(format_args!("{name} should be used with proxy_pass https url"));
            return Err(cf.refuse_plainly(text.as_bytes()));
        }
    }
    Ok(())
}

/// A server asks for a certificate; returns whether the handshake goes on.
fn certificate(request: Request) -> bool {
    let phase = Phase::ProxySslCertificate;
    if LocationConf::of(&request).script(phase).is_none() {
        return true;
    }
    ask(request, phase, None, c"loading proxy ssl certificate by lua", "cert cb")
}

/// A server has presented its certificate.
fn verify(request: Request, verification: Verification) -> Judgement {
    let phase = Phase::ProxySslVerify;
    let location = LocationConf::of(&request);
    if location.script(phase).is_none() {
        return Judgement::of(verification.verify());
    }
    let mut trusted = true;
    if !location.skip_default_verify() {
        ngx_debug!(request.log(), "proxy_ssl_verify_by_lua: openssl default verify");
        trusted = verification.verify();
    }
    let action = c"loading proxy ssl verify by lua";
    let accepted = ask(request, phase, Some(verification), action, "cert verify callback");
    if !accepted {
        return Judgement::Refuse;
    }
    // The code may know better.
    Judgement::of(trusted || verification.result() == 0)
}

/// Runs the code of `phase`; whether it lets the handshake go on.
fn ask(
    request: Request,
    phase: Phase,
    verification: Option<Verification>,
    action: &'static CStr,
    callback: &str,
) -> bool {
    let Ok(context) = runner::context_of(request, phase) else { return false };
    let outer = context.verification.replace(verification);
    request.log().set_action(action);
    let rc = run(&context, phase);
    request.log().set_action(c"SSL handshaking to upstream");
    context.verification.set(outer);
    let accepted = !rc.is_failure();
    ngx_debug!(
        request.log(),
        "{}: handler return value: {}, {callback} exit code: {}",
        phase.context_name().trim_end_matches('*'),
        rc.0,
        u8::from(accepted)
    );
    accepted
}

/// What the code ended with.
fn run(context: &Rc<Context>, phase: Phase) -> Status {
    let Some(script) = context.location().script(phase) else { return Status::OK };
    let end_before = context.ending.end.take();
    let code_before = context.ending.exit_code.get();
    let result = synchronous::run_plainly(context, script, phase);
    let end = context.ending.end.replace(end_before);
    context.ending.exit_code.set(code_before);
    match (end, result) {
        (Some(End::Exit(code)), _) => Status(code),
        (_, Ok(())) => Status::OK,
        (_, Err(synchronous::Failed)) => Status::HTTP_INTERNAL_SERVER_ERROR,
    }
}

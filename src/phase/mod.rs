//! The phases, each a short file. Code is driven by `runner` up to the response, by `filter` in
//! filters, by `ssl/driver` in a client's handshake, by `hook` where it runs once per process, and
//! by `synchronous` where it cannot wait.

pub mod access;
pub mod answer;
pub mod balancer;
pub mod body_filter;
pub mod check;
pub mod content;
pub mod exit_worker;
pub mod filter;
pub mod framing;
pub mod header_filter;
mod held;
pub mod hook;
pub mod init;
pub mod init_worker;
pub mod log;
pub mod precontent;
pub mod profile;
pub mod rewrite;
pub mod runner;
pub mod set;
#[cfg(ngx_feature = "http_ssl")]
pub mod ssl;
pub mod status;
pub mod synchronous;
pub mod threads;

use crate::config::MainConf;
use crate::config::phases::{PHASES, Phase, PhaseSet, Place};
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::callback::RequestHandler;
use crate::nginx::http::phases;
use crate::nginx::http::{callback, filters};

/// Installs the handlers and filters that the configuration needs.
pub fn install_hooks(cf: Conf, main: &MainConf) -> Result<(), OutOfMemory> {
    let used = main.used();
    for row in PHASES {
        let Place::Handler(nginx_phase) = row.place else { continue };
        let counts_requests = row.phase == Phase::Log && main.trims_memory();
        if (used.has(row.phase) || counts_requests)
            && let Some(handler) = handler(row.phase)
        {
            phases::add_handler(cf, nginx_phase, handler)?;
        }
    }
    // Runs after all Lua filters, to see their output.
    if used.meets(PhaseSet::OF_CLIENTS) {
        framing::install(used.meets(PhaseSet::REQUEST));
    }
    // If the body is filtered, the header filter must tell nginx.
    if used.meets(PhaseSet::of(&[Phase::HeaderFilter, Phase::BodyFilter])) {
        filters::CODE.install_header(header_filter::concerns, header_filter::enter);
    }
    if used.has(Phase::BodyFilter) {
        filters::CODE.install_body(body_filter::concerns, body_filter::enter);
    }
    Ok(())
}

/// Installs the filter that has to be nginx's first, once nginx has read the configuration.
pub fn install_first_filter(main: &MainConf) {
    if main.used().meets(PhaseSet::of(&[Phase::HeaderFilter, Phase::BodyFilter])) {
        filters::HOLD.install_body(filter::holds, filter::hold);
    }
}

/// What nginx calls in one of its own phases.
fn handler(phase: Phase) -> Option<RequestHandler> {
    match phase {
        Phase::ServerRewrite => Some(callback::handler(rewrite::enter_server)),
        Phase::Rewrite => Some(callback::handler(rewrite::enter)),
        Phase::Access => Some(callback::handler(access::enter)),
        Phase::Precontent => Some(callback::handler(precontent::enter)),
        Phase::Log => Some(callback::log_handler(log::enter)),
        _ => None,
    }
}

//! nginx's phases, each a short file; those that can wait share one driver, `runner`.

pub mod access;
pub mod balancer;
pub mod body_filter;
pub mod content;
pub mod exit_worker;
pub mod framing;
pub mod header_filter;
pub mod hook;
pub mod init;
pub mod init_worker;
pub mod log;
pub mod rewrite;
pub mod runner;
pub mod set;
#[cfg(ngx_feature = "http_ssl")]
pub mod ssl;
pub mod synchronous;

use crate::config::MainConf;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::phases;
use crate::nginx::http::phases::HttpPhase;
use crate::nginx::http::{callback, filters};

/// Puts the handlers that the configuration needs into nginx's phases and filters.
pub fn install_hooks(cf: Conf, main: &MainConf) -> Result<(), OutOfMemory> {
    let needs = &main.needs;
    if needs.server_rewrite.get() {
        phases::add_handler(
            cf,
            HttpPhase::ServerRewrite,
            callback::handler(rewrite::enter_server),
        )?;
    }
    if needs.rewrite.get() {
        phases::add_handler(cf, HttpPhase::Rewrite, callback::handler(rewrite::enter))?;
    }
    if needs.access.get() {
        phases::add_handler(cf, HttpPhase::Access, callback::handler(access::enter))?;
    }
    if needs.log.get() {
        phases::add_handler(cf, HttpPhase::Log, callback::header_filter(log::enter))?;
    }
    // Below all filters of ours that see what code makes.
    if needs.framing.get() {
        filters::FRAMING.install_header(callback::header_filter(framing::header));
        filters::FRAMING.install_body(callback::body_filter(framing::body));
    }
    if needs.capture.get() {
        crate::api::subrequest::install_filters(cf);
    }
    if needs.header_filter.get() {
        filters::CODE.install_header(callback::header_filter(header_filter::enter));
    }
    if needs.body_filter.get() {
        filters::CODE.install_body(callback::body_filter(body_filter::enter));
    }
    Ok(())
}

//! `balancer_by_lua*`: which server of an `upstream` a request's next try goes to.

use super::{runner, synchronous};
use crate::config::ServerConf;
use crate::nginx::Status;
use crate::nginx::core::conf::Conf;
use crate::nginx::http::upstream;
use crate::nginx::http::upstream::{IdleConnections, Peer};
use crate::ngx_debug;
use crate::runtime::Phase;
use crate::runtime::context::End;

/// Makes the code of the `upstream` block that is being read choose its servers.
pub fn install(cf: Conf) {
    upstream::install::<Balancer>(cf);
}

struct Balancer;

impl upstream::Balancer for Balancer {
    fn choose(peer: Peer) -> Result<(), Status> {
        let request = peer.request().ok_or(Status::ERROR)?;
        let script = ServerConf::of_upstream(peer).balancer.get().ok_or(Status::ERROR)?;
        let context = runner::context_of(request, Phase::Balancer).map_err(|_| Status::ERROR)?;
        ngx_debug!(request.log(), "lua reset ctx");
        context.remove_all_tasks();
        context.restart();
        let outer = context.upstream_peer.replace(Some(peer));
        let result = synchronous::run_plainly(&context, script, Phase::Balancer);
        context.upstream_peer.set(outer);
        let end = context.ending.end.take();
        result?;
        match end {
            Some(End::Exit(code)) => go_on(Status(code)),
            _ => Ok(()),
        }
    }

    fn idle(peer: Peer) -> &'static IdleConnections {
        &ServerConf::of_upstream(peer).idle
    }
}

/// Translates the code of `ngx.exit` for nginx, which takes no HTTP status from a balancer.
fn go_on(code: Status) -> Result<(), Status> {
    match code {
        Status::ERROR | Status::BUSY | Status::DECLINED => Err(code),
        Status(status) if status > 0 => Err(Status::ERROR),
        _ => Ok(()),
    }
}

//! `balancer_by_lua*`: which server of an `upstream` a request's next try goes to.

use super::{runner, synchronous};
use crate::config::ServerConf;
use crate::nginx::upstream::{self, Peer};
use crate::nginx::{Rc, conf::Conf};
use crate::ngx_debug;
use crate::runtime::Phase;
use crate::runtime::context::End;

/// Has the code of the `upstream` block that is being read choose its servers.
pub fn install(cf: Conf) {
    upstream::install::<Balancer>(cf);
}

struct Balancer;

impl upstream::Balancer for Balancer {
    fn choose(peer: Peer) -> Result<(), Rc> {
        let request = peer.request().ok_or(Rc::ERROR)?;
        let script = ServerConf::of_upstream(peer).balancer.get().ok_or(Rc::ERROR)?;
        let context = runner::context_of(request, Phase::Balancer).map_err(|_| Rc::ERROR)?;
        ngx_debug!(request.log(), "lua reset ctx");
        context.remove_all_tasks();
        context.restart();
        let outer = context.upstream_peer.replace(Some(peer));
        let result = synchronous::run_plainly(&context, script, Phase::Balancer);
        context.upstream_peer.set(outer);
        let end = context.end.take();
        result?;
        match end {
            Some(End::Exit(code)) => go_on(Rc(code)),
            _ => Ok(()),
        }
    }
}

/// What the code of `ngx.exit` means to nginx, which takes no status from a balancer.
fn go_on(code: Rc) -> Result<(), Rc> {
    match code {
        Rc::ERROR | Rc::BUSY | Rc::DECLINED => Err(code),
        Rc(status) if status > 0 => Err(Rc::ERROR),
        _ => Ok(()),
    }
}

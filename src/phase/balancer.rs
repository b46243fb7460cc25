//! `balancer_by_lua*`: which server of an `upstream` a request's next try goes to.

use std::rc::{Rc, Weak};

use super::runner;
use crate::config::{Script, ServerConf};
use crate::nginx::Status;
use crate::nginx::core::conf::Conf;
use crate::nginx::http::upstream;
use crate::nginx::http::upstream::{Chosen, IdleConnections, Peer};
use crate::ngx_debug;
use crate::runtime::{Context, Phase, Task, scheduler};

/// Makes the code of the `upstream` block that is being read choose its servers.
pub fn install(cf: Conf) {
    upstream::install::<Balancer>(cf);
}

struct Balancer;

impl upstream::Balancer for Balancer {
    fn choose(peer: Peer) -> Result<Chosen, Status> {
        let request = peer.request().ok_or(Status::ERROR)?;
        let script = ServerConf::of_upstream(&peer).balancer.get().ok_or(Status::ERROR)?;
        let context = runner::context_of(request, Phase::Balancer).map_err(|_| Status::ERROR)?;
        Task::reserve().map_err(|_| Status::ERROR)?;
        ngx_debug!(request.log(), "lua reset ctx");
        context.begin_phase();
        let before = Before::replace(&context, peer);
        let rc = run(&context, script);
        if rc == Status::DONE && !context.is_released() {
            return wait(&context, peer, before);
        }
        drop(before);
        go_on(rc).map(|()| Chosen::Now)
    }

    fn cancel(peer: Peer) {
        let Some(context) = peer.request().and_then(Context::of) else { return };
        if context.upstream_peer.get() == Some(peer) {
            context.remove_all_tasks();
            context.fake_end.on_result.set(None);
        }
    }

    fn idle(peer: &Peer) -> &IdleConnections {
        &ServerConf::of_upstream(peer).idle
    }
}

/// What the context had before the code, and gets back on drop.
struct Before {
    context: Weak<Context>,
    phase: Phase,
    peer: Option<Peer>,
}

impl Before {
    /// Has `context` run the code for the try of `peer`.
    fn replace(context: &Rc<Context>, peer: Peer) -> Before {
        Before {
            context: Rc::downgrade(context),
            phase: context.replace_phase(Phase::Balancer),
            peer: context.upstream_peer.replace(Some(peer)),
        }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        if let Some(context) = self.context.upgrade().filter(|context| !context.is_released()) {
            context.restart();
            context.phase.set(self.phase);
            context.upstream_peer.set(self.peer);
        }
    }
}

/// Runs `script` until it ends, with its result, or waits: `DONE`.
fn run(context: &Rc<Context>, script: &Script) -> Status {
    let Ok(thread) = runner::load(context, script) else { return Status::ERROR };
    scheduler::settle(context, scheduler::start(context, thread, 0))
}

/// The code waits: nginx waits for the server, and the code goes on by itself.
fn wait(context: &Rc<Context>, peer: Peer, before: Before) -> Result<Chosen, Status> {
    if context.watch_request_end().is_err() {
        context.remove_all_tasks();
        return Err(Status::ERROR);
    }
    // An event continues the code at once, as in the content phase.
    context.enter(Phase::Content);
    context.fake_end.on_result.set(Some(Box::new(move |rc| {
        drop(before);
        peer.decide(go_on(rc));
    })));
    Ok(Chosen::Later)
}

/// Translates the code's result for nginx, which takes no HTTP status from a balancer.
fn go_on(code: Status) -> Result<(), Status> {
    match code {
        Status::ERROR | Status::BUSY | Status::DECLINED => Err(code),
        Status(status) if status > 0 => Err(Status::ERROR),
        _ => Ok(()),
    }
}

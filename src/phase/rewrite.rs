//! `rewrite_by_lua*` and `server_rewrite_by_lua*`: code that may send a request elsewhere.

use std::rc::Rc;

use super::runner::{self, Waiting};
use crate::config::MainConf;
use crate::nginx::http::callback;
use crate::nginx::http::{client, phases};
use crate::nginx::{Request, Status};
use crate::runtime::{Context, Phase, scheduler};

const REWRITE: Waiting = Waiting {
    phase: Phase::Rewrite,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// Before nginx looks for a location.
const SERVER_REWRITE: Waiting = Waiting {
    phase: Phase::ServerRewrite,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// nginx's rewrite phase.
pub fn enter(request: Request) -> Status {
    if request.get().uri_changed() != 0 || postpone(request) {
        return Status::DECLINED;
    }
    runner::enter(request, &REWRITE)
}

/// nginx's server rewrite phase.
pub fn enter_server(request: Request) -> Status {
    if request.get().uri_changed() != 0 {
        return Status::DECLINED;
    }
    runner::enter(request, &SERVER_REWRITE)
}

/// At the first request, goes behind the rewrite handlers of other modules.
fn postpone(request: Request) -> bool {
    let main = MainConf::of(request);
    if main.rewrite_postponed.replace(true)
        || main.written.borrow().rewrite_no_postpone == Some(true)
    {
        return false;
    }
    let moved = phases::move_to_end(request, 1);
    if moved {
        phases::redo_step(request);
    }
    moved
}

/// What the phase's result means to nginx: go on, unless the script made the response.
fn settle(context: &Rc<Context>, rc: Status) -> Status {
    if rc != Status::OK && rc != Status::DECLINED {
        return rc;
    }
    if let Some(rc) = runner::end_if_responded(context) {
        return rc;
    }
    client::run_phases_when_writable(context.request());
    // nginx may come here again, for the location of a URI that was rewritten.
    context.leave(Phase::ServerRewrite);
    context.leave(Phase::Rewrite);
    Status::DECLINED
}

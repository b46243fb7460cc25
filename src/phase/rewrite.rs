//! `rewrite_by_lua*` and `server_rewrite_by_lua*`: code that may send a request elsewhere.

use std::rc::Rc;

use super::runner::{self, WaitingPhase};
use crate::nginx::http::callback;
use crate::nginx::http::client;
use crate::nginx::{Request, Status};
use crate::runtime::{Context, Phase, scheduler};

const REWRITE: WaitingPhase = WaitingPhase {
    phase: Phase::Rewrite,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// Before nginx looks for a location.
const SERVER_REWRITE: WaitingPhase = WaitingPhase {
    phase: Phase::ServerRewrite,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// nginx's rewrite phase.
pub fn enter(request: Request) -> Status {
    if request.get().uri_changed() != 0 || runner::postpone(request, Phase::Rewrite, 1) {
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

/// Translates the phase's result for nginx: go on, unless the script has made the response.
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

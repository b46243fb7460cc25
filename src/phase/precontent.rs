//! `precontent_by_lua*`: after access is granted and files were tried, before the response is made.

use std::rc::Rc;

use super::runner::{self, WaitingPhase};
use crate::nginx::http::callback;
use crate::nginx::{Request, Status};
use crate::runtime::{Context, Phase, scheduler};

const PRECONTENT: WaitingPhase = WaitingPhase {
    phase: Phase::Precontent,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// nginx's precontent phase.
pub fn enter(request: Request) -> Status {
    if runner::postpone(request, Phase::Precontent, 1) {
        return Status::DECLINED;
    }
    runner::enter(request, &PRECONTENT)
}

/// Translates the phase's result for nginx: go on, unless the script has made the response.
fn settle(context: &Rc<Context>, rc: Status) -> Status {
    if rc == Status::ERROR || rc == Status::DONE || rc.0 > 0 {
        return rc;
    }
    runner::end_if_responded(context).unwrap_or(Status::DECLINED)
}

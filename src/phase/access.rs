//! `access_by_lua*`.

use std::rc::Rc;

use super::runner::{self, WaitingPhase};
use crate::nginx::http::callback;
use crate::nginx::{Request, Status};
use crate::runtime::{Context, Phase, scheduler};

const ACCESS: WaitingPhase = WaitingPhase {
    phase: Phase::Access,
    go_on: scheduler::settle,
    settle,
    body_is_there: callback::event(runner::body_is_there),
};

/// nginx's access phase.
pub fn enter(request: Request) -> Status {
    // nginx's own post-access step stays behind.
    if runner::postpone(request, Phase::Access, 2) {
        return Status::DECLINED;
    }
    runner::enter(request, &ACCESS)
}

/// What the phase's result means to nginx: granted or no opinion, unless the script made the
/// response.
fn settle(context: &Rc<Context>, rc: Status) -> Status {
    if rc == Status::ERROR || rc == Status::DONE || rc.0 > 0 {
        return rc;
    }
    let goes_on = if rc == Status::OK { Status::OK } else { Status::DECLINED };
    runner::end_if_responded(context).unwrap_or(goes_on)
}

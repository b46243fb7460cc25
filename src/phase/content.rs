//! `content_by_lua*`: the handler that makes the response.

use std::rc::Rc;

use super::runner::{self, WaitingPhase};
use crate::nginx::core::conf::Conf;
use crate::nginx::http::callback;
use crate::nginx::http::request_body;
use crate::nginx::{Request, Status, guard};
use crate::runtime::context::BodyState;
use crate::runtime::{Context, Phase, scheduler, watch};

/// Makes this module the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

const CONTENT: WaitingPhase = WaitingPhase {
    phase: Phase::Content,
    go_on,
    settle: |_, rc| rc,
    body_is_there: callback::event(body_is_there),
};

#[inline(always)]
fn enter(request: Request) -> Status {
    request.result(runner::enter(request, &CONTENT))
}

/// After the handler's first run: by its result, nginx keeps or gives up a reference to the
/// request.
fn go_on(context: &Rc<Context>, rc: Status) -> Status {
    match rc {
        Status::AGAIN => run_posted(context, 0),
        Status::DONE => run_posted(context, 1),
        rc if rc == Status::ERROR || rc.0 >= 0 => rc,
        _ => Status::OK,
    }
}

/// Runs the ready threads of a handler that nginx waits for. `redirects` counts how often the
/// request has gone on elsewhere; each time, nginx took a reference to it.
fn run_posted(context: &Rc<Context>, mut redirects: usize) -> Status {
    let request = context.request();
    let turns = watch::threads_take_turns(context);
    while let Some((task, values)) = context.take_posted() {
        if task.status.get() != crate::runtime::TaskStatus::Running {
            continue;
        }
        let values = turns.next(&task, values);
        match scheduler::run(context, task, values) {
            Status::AGAIN => {}
            Status::DONE => redirects += 1,
            rc => {
                drop(turns);
                if rc == Status::OK {
                    for _ in 0..redirects {
                        request.finalize(Status::DONE);
                    }
                }
                return rc;
            }
        }
    }
    if redirects == 0 {
        // The handler waits: makes up for the reference that nginx gives up on DONE.
        request.add_reference();
    }
    for _ in 1..redirects {
        request.finalize(Status::DONE);
    }
    Status::DONE
}

/// The request body has been read: starts the handler, if it was waiting for that.
fn body_is_there(request: Request) {
    let Some(context) = Context::of(request) else {
        request_body::drop_reference(request);
        return;
    };
    if context.body.state.replace(BodyState::Read) == BodyState::Awaited {
        let rc = guard(Status::HTTP_INTERNAL_SERVER_ERROR, || enter(request));
        request.finalize(rc);
    } else {
        request_body::drop_reference(request);
    }
}

//! `content_by_lua*`: the handler that makes the response.

use std::rc::Rc as Shared;

use super::runner;
use crate::config::LocationConf;
use crate::nginx::conf::Conf;
use crate::nginx::request_body;
use crate::nginx::{Rc, Request, callback, guard};
use crate::runtime::{Context, Phase, scheduler};

/// Makes this module the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

fn enter(request: Request) -> Rc {
    runner::log_entry(request, "content");
    let Some(script) = LocationConf::of(request).in_force().content.as_ref() else {
        return Rc::DECLINED;
    };
    let context = match runner::context_of(request, Phase::Content) {
        Ok(context) => context,
        Err(rc) => return rc,
    };
    if context.entered.get().content {
        return scheduler::resume_woken(&context);
    }
    if let Some(rc) = runner::read_body_first(&context, callback::event(body_is_there)) {
        return rc;
    }
    match runner::start(&context, script, Phase::Content) {
        Ok(Rc::AGAIN) => run_posted(&context, 0),
        Ok(Rc::DONE) => run_posted(&context, 1),
        Ok(rc) if rc == Rc::ERROR || rc.0 >= 0 => rc,
        Ok(_) => Rc::OK,
        Err(rc) => rc,
    }
}

/// Runs the ready threads of a handler that nginx waits for. `redirects` counts how often the
/// request went on elsewhere, each of which holds a reference of nginx's on it.
fn run_posted(context: &Shared<Context>, mut redirects: usize) -> Rc {
    let request = context.request();
    while let Some((task, values)) = context.take_posted() {
        if task.status.get() != crate::runtime::Status::Running {
            continue;
        }
        match scheduler::run(context, task, values) {
            Rc::AGAIN => {}
            Rc::DONE => redirects += 1,
            rc => {
                if rc == Rc::OK {
                    for _ in 0..redirects {
                        request.finalize(Rc::DONE);
                    }
                }
                return rc;
            }
        }
    }
    if redirects == 0 {
        // The handler waits: the reference that nginx gives up for DONE is kept.
        request.add_reference();
    }
    for _ in 1..redirects {
        request.finalize(Rc::DONE);
    }
    Rc::DONE
}

/// The request body is there: the handler starts, if it was waiting for that.
fn body_is_there(request: Request) {
    let Some(context) = Context::of(request) else {
        request_body::drop_reference(request);
        return;
    };
    context.body_read.set(true);
    if context.waiting_more_body.replace(false) {
        let rc = guard(Rc::HTTP_INTERNAL_SERVER_ERROR, || enter(request));
        request.finalize(rc);
    } else {
        request_body::drop_reference(request);
    }
}

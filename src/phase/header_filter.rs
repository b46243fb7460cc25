//! `header_filter_by_lua*`.

use std::rc::Rc;

use super::{framing, runner, synchronous};
use crate::config::{LocationConf, Script};
use crate::nginx::http::framing as wire_framing;
use crate::nginx::http::{filters, response_status};
use crate::nginx::{Request, Status};
use crate::runtime::context::End;
use crate::runtime::{Context, Phase};

/// Whether the location has code for the header, or for the body, which changes the header too.
#[inline]
pub fn concerns(request: Request) -> bool {
    runner::log_filter(request, Phase::HeaderFilter);
    let location = LocationConf::of(request);
    location.script(Phase::HeaderFilter).is_some() || location.script(Phase::BodyFilter).is_some()
}

/// nginx's header filters.
pub fn enter(request: Request) -> Status {
    let location = LocationConf::of(request);
    let filters_body = location.script(Phase::BodyFilter).is_some();
    if filters_body {
        filters::need_in_memory(request);
    }
    let next = |request| filters::CODE.next_header(request);
    let send =
        |request| if filters_body { framing::send_counted(request, next) } else { next(request) };
    let Some(script) = location.script(Phase::HeaderFilter) else {
        return send(request);
    };
    let Ok(context) = context_of(request, Phase::HeaderFilter) else {
        return Status::ERROR;
    };
    let status = response_status::get(request);
    let result = run(&context, script);
    if response_status::get(request) != status {
        wire_framing::follow_status(request);
    }
    match result {
        Err(failed) => failed.into(),
        Ok(None) => send(request),
        Ok(Some(Status::ERROR)) => Status::ERROR,
        Ok(Some(status)) => match filters::finalize(request, status) {
            rc @ (Status::ERROR | Status::AGAIN) => rc,
            _ => Status::OK,
        },
    }
}

/// The context of a response that is being filtered. nginx clears its slot when it makes an error
/// page during a call of running code: then that code's context is used.
pub fn context_of(request: Request, phase: Phase) -> Result<Rc<Context>, Status> {
    if Context::of(request).is_none()
        && request.get().filter_finalize() != 0
        && let Some(context) = Context::running(request)
    {
        context.reattach();
        return Ok(context);
    }
    runner::context_of(request, phase)
}

/// Runs the code; returns the status that it asked for with `ngx.exit`, if that is a new one.
fn run(context: &Rc<Context>, script: &Script) -> Result<Option<Status>, synchronous::Failed> {
    let end_before = context.ending.end.take();
    let code_before = context.ending.exit_code.get();
    let result = synchronous::run_plainly(context, script, Phase::HeaderFilter);
    let end = context.ending.end.replace(end_before);
    result?;
    Ok(match end {
        Some(End::Exit(code)) if code != code_before => Some(Status(code)),
        _ => None,
    })
}

//! `header_filter_by_lua*`.
//!
//! While its code waits, nothing of the response goes on: the first body filter (`phase/filter.rs`)
//! holds back what comes of the body.

use std::rc::Rc;

use super::{filter, framing, held, runner};
use crate::api::subrequest;
use crate::config::LocationConf;
use crate::nginx::http::filters::CODE;
use crate::nginx::http::framing as wire_framing;
use crate::nginx::http::send as wire;
use crate::nginx::http::{filters, response_status};
use crate::nginx::{Chain, Level, Request, Status};
use crate::runtime::filter::Waiting;
use crate::runtime::filter_run::Ended;
use crate::runtime::{Context, Phase, ends};

/// Whether the location has code for the header, or for the body, which changes the header too.
#[inline]
pub fn concerns(request: Request) -> bool {
    runner::log_filter(request, Phase::HeaderFilter);
    let location = LocationConf::of(&request);
    location.script(Phase::HeaderFilter).is_some() || location.script(Phase::BodyFilter).is_some()
}

/// Called by nginx's chain of header filters.
pub fn enter(request: Request) -> Status {
    let location = LocationConf::of(&request);
    if location.script(Phase::BodyFilter).is_some() {
        filters::need_in_memory(request);
    }
    let Some(script) = location.script(Phase::HeaderFilter) else {
        return send(request);
    };
    let Ok(context) = context_of(request, Phase::HeaderFilter) else {
        return Status::ERROR;
    };
    if context.filter.waits.get() == Waiting::Header {
        request
            .log()
            .write(Level::Alert, b"header already sent: it waits for header_filter_by_lua*");
        return Status::ERROR;
    }
    let before = Before {
        status: response_status::get(request),
        exit_code: context.ending.exit_code.get(),
        is_unaware_of_head: request.is_head() && !request.is_subrequest() && !request.header_only(),
    };
    let then = move |context: &Rc<Context>, ended| go_on(context, before, ended);
    match filter::run(&context, script, Phase::HeaderFilter, Chain::EMPTY, then) {
        Some(ended) => conclude(request, before, ended),
        None => {
            context.filter.waits.set(Waiting::Header);
            if before.is_unaware_of_head {
                // As nginx's last header filter does: what makes the response need not make a body.
                wire::set_header_only(request);
            }
            Status::AGAIN
        }
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

/// Passes the header on.
fn send(request: Request) -> Status {
    let next = |request| CODE.next_header(request);
    if LocationConf::of(&request).script(Phase::BodyFilter).is_some() {
        framing::send_counted(request, next)
    } else {
        next(request)
    }
}

/// What a response and its code were before the filter's code ran.
#[derive(Clone, Copy)]
struct Before {
    status: usize,
    exit_code: isize,
    /// Whether the method is HEAD, and nginx has not marked the response for that yet.
    is_unaware_of_head: bool,
}

impl Before {
    /// The status that the code has asked for with `ngx.exit`, if that is a new one.
    fn new_exit(self, ended: Ended) -> Option<Status> {
        ended.exit.filter(|code| *code != self.exit_code).map(Status)
    }
}

/// The code has ended: passes the header on, or replaces the response.
fn conclude(request: Request, before: Before, ended: Ended) -> Status {
    if response_status::get(request) != before.status {
        wire_framing::follow_status(request);
    }
    if ended.code.is_none() {
        return Status::ERROR;
    }
    match before.new_exit(ended) {
        None => send(request),
        Some(Status::ERROR) => Status::ERROR,
        Some(status) if ends_captured(request, status) => send_bare(request, status),
        Some(status) => match filters::finalize(request, status) {
            rc @ (Status::ERROR | Status::AGAIN) => rc,
            _ => Status::OK,
        },
    }
}

/// Whether `ngx.exit(status)` leaves a captured response with that status and without a body, as a location does that
/// returns it: where nginx's page in its place may come from another location. What made the response and what makes
/// the page would both end the same subrequest.
fn ends_captured(request: Request, status: Status) -> bool {
    status.is_special_response()
        && subrequest::is_captured(request)
        && filters::has_error_page(request, status)
}

/// Passes on a header of that status, and has no body come.
fn send_bare(request: Request, status: Status) -> Status {
    filters::clear_header(request);
    response_status::set(request, status.0.unsigned_abs());
    wire::set_header_only(request);
    if let Some(context) = Context::of(request) {
        context.filter.bodiless.set(true);
    }
    CODE.next_header(request)
}

/// The code has ended after a wait: what waited goes on.
fn go_on(context: &Rc<Context>, before: Before, ended: Ended) {
    let (request, state) = (context.request(), &context.filter);
    state.waits.set(Waiting::Nothing);
    if before.is_unaware_of_head {
        wire::clear_header_only(request);
    }
    let kept = held::end(context);
    let exit = before.new_exit(ended).filter(|status| *status != Status::ERROR);
    let exit = exit.filter(|_| ended.code.is_some());
    if let Some(status) = exit
        && !request.is_subrequest()
        && !request.filter_finalized()
        && !kept.has_subrequests(context)
    {
        kept.drop_output(context);
        return ends::replace_response(context, status);
    }
    let is_replaced = exit.is_some_and(|status| !ends_captured(request, status));
    let mut rc = conclude(request, before, ended);
    if is_replaced {
        state.replaced.set(true);
        kept.drop_output(context);
    } else if rc.is_failure() {
        kept.drop_output(context);
    } else if request.header_only() {
        state.bodiless.set(true);
        kept.drop_output(context);
    } else {
        rc = kept.pass_on(context);
    }
    let failed = rc.is_failure() && !is_replaced;
    let goes_on = !failed && (state.waits.get() != Waiting::Nothing || filter::proceed(context));
    if !goes_on {
        filter::give_up(context);
    }
}

//! `body_filter_by_lua*`.
//!
//! Input that nginx passes while earlier output still waits for the client is kept, and given to
//! the code once that output has been sent: otherwise the code would make more and more buffers.
//! The same goes for input that comes while the code waits. nginx makes no more of a response than
//! fits into its buffers, as long as what it has passed is kept.

use std::rc::Rc;

use super::header_filter::context_of;
use super::{filter, held};
use crate::config::{LocationConf, Script};
use crate::nginx::core::lend::Lend;
use crate::nginx::http::response_buffers::ResponseBuffers;
use crate::nginx::http::{client, filters, framing, send};
use crate::nginx::{Chain, Request, Status};
use crate::runtime::filter::{BodyFilter, Waiting, buffers};
use crate::runtime::filter_run::Ended;
use crate::runtime::{Context, Phase};

/// Whether the location has code for the body, and there is one.
#[inline]
pub fn concerns(request: Request) -> bool {
    super::runner::log_filter(request, Phase::BodyFilter);
    LocationConf::of(&request).script(Phase::BodyFilter).is_some() && !request.header_only()
}

/// Called by nginx's chain of body filters.
pub fn enter(request: Request, input: Chain) -> Status {
    let Some(script) = LocationConf::of(&request).script(Phase::BodyFilter) else {
        return filters::CODE.next_body(request, input);
    };
    let Ok(context) = context_of(request, Phase::BodyFilter) else {
        return Status::ERROR;
    };
    let state = &context.filter;
    let waits = state.waits.get();
    if waits == Waiting::Failed {
        filter::consume(input);
        return filter::refuse(&context);
    }
    let is_finished =
        state.seen_last.get() && framing::comes_in_parts(request) && input.size() == 0;
    if is_finished && waits == Waiting::Nothing {
        return filters::CODE.next_body(request, input);
    }
    let code_waits = waits == Waiting::Body;
    let client_waits = !code_waits && is_output_waiting(&context);
    if !keep(&context, input, code_waits || client_waits) {
        return Status::ERROR;
    }
    if code_waits { Status::AGAIN } else { pass_waiting(&context, script, client_waits) }
}

/// Runs the code on what waits for it, and passes the result on; where earlier output waits for the
/// client, that goes first.
fn pass_waiting(context: &Rc<Context>, script: &Script, is_output_waiting: bool) -> Status {
    if is_output_waiting && let Some(rc) = send_waiting_output(context) {
        return rc;
    }
    let input = context.filter.waiting.take();
    let chain = input.whole();
    if chain.is_empty() {
        return pass_on(context, Chain::EMPTY);
    }
    context.filter.given.set(input);
    match filter::run(context, script, Phase::BodyFilter, chain, go_on) {
        Some(ended) => conclude(context, ended),
        None => {
            context.filter.waits.set(Waiting::Body);
            Status::AGAIN
        }
    }
}

/// The code has ended: passes on what it has made of its input.
fn conclude(context: &Context, ended: Ended) -> Status {
    const HTTP_SPECIAL_RESPONSE: i64 = 300;
    let input = context.filter.given.take();
    match ended.code {
        Some(code) if code != Status::ERROR.0 as i64 && code < HTTP_SPECIAL_RESPONSE => {}
        _ => return Status::ERROR,
    }
    let out = ended.chain;
    if out != input.whole() {
        input.free();
        if out.is_empty() {
            return Status::OK;
        }
    }
    pass_on(context, out)
}

fn pass_on(context: &Context, out: Chain) -> Status {
    let rc = filters::CODE.next_body(context.request(), out);
    if rc != Status::ERROR {
        file_sent(context, out);
    }
    rc
}

/// The code has ended after a wait: passes on its result, and then what has come meanwhile.
fn go_on(context: &Rc<Context>, ended: Ended) {
    let (request, state) = (context.request(), &context.filter);
    state.waits.set(Waiting::Nothing);
    let kept = held::end(context);
    let is_current = Context::of(request).is_some_and(|other| Rc::ptr_eq(&other, context));
    if !is_current {
        // Meanwhile, another module has made a page instead.
        filter::consume(ended.chain);
        filter::consume(state.waiting.take().whole());
        kept.drop_output(context);
        request.post();
        return;
    }
    let mut rc = conclude(context, ended);
    if rc != Status::ERROR
        && has_input(state)
        && let Some(script) = LocationConf::of(&request).script(Phase::BodyFilter)
    {
        rc = pass_waiting(context, script, is_output_waiting(context));
    }
    if rc == Status::ERROR {
        kept.drop_output(context);
    } else if kept.pass_on(context) == Status::ERROR {
        rc = Status::ERROR;
    }
    let goes_on =
        rc != Status::ERROR && (state.waits.get() == Waiting::Body || filter::proceed(context));
    if !goes_on {
        filter::give_up(context);
    }
}

/// Whether input waits for the code.
fn has_input(filter: &BodyFilter) -> bool {
    filter.waiting.lend(|waiting| !waiting.is_empty())
}

/// Adds the input to what waits for the code, or drops it if the response has ended; false without
/// memory. `is_for_later`: the code does not get it now.
fn keep(context: &Context, input: Chain, is_for_later: bool) -> bool {
    let filter = &context.filter;
    if filter.seen_last.get() {
        filter::consume(input);
        return true;
    }
    let pool = context.request().pool();
    let kept = filter.waiting.lend(|waiting| {
        if is_for_later { waiting.keep(pool, input) } else { waiting.append(pool, input) }
    });
    kept.is_ok()
}

/// Sends earlier output of this filter that the client has not taken; `Some` if it still has not,
/// or on failure.
fn send_waiting_output(context: &Context) -> Option<Status> {
    let rc = filters::CODE.next_body(context.request(), Chain::EMPTY);
    if rc == Status::ERROR {
        return Some(rc);
    }
    file_sent(context, Chain::EMPTY);
    (rc != Status::OK && is_output_waiting(context)).then_some(Status::AGAIN)
}

/// Whether output of this filter waits for the client.
fn is_output_waiting(context: &Context) -> bool {
    let is_busy = context.filter.buffers.get().is_some_and(ResponseBuffers::is_busy);
    is_busy && client::has_buffered_output(context.request())
}

fn file_sent(context: &Context, out: Chain) {
    buffers(context).sent(out, send::filter_tag());
}

//! `body_filter_by_lua*`.
//!
//! Input that nginx passes while earlier output still waits for the client is kept, and given to
//! the code once that output has been sent: otherwise the code would make more and more buffers.

use std::rc::Rc;

use super::header_filter::context_of;
use super::synchronous;
use crate::config::{LocationConf, Script};
use crate::nginx::http::{client, filters, framing, send};
use crate::nginx::{Chain, Request, Status};
use crate::runtime::{Context, Phase};

/// Whether the location has code for the body, and there is one.
#[inline]
pub fn concerns(request: Request) -> bool {
    super::runner::log_filter(request, Phase::BodyFilter);
    LocationConf::of(request).script(Phase::BodyFilter).is_some() && !request.header_only()
}

/// nginx's body filters.
pub fn enter(request: Request, input: Chain) -> Status {
    let Some(script) = LocationConf::of(request).script(Phase::BodyFilter) else {
        return filters::CODE.next_body(request, input);
    };
    let Ok(context) = context_of(request, Phase::BodyFilter) else {
        return Status::ERROR;
    };
    if context.filter.seen_last.get() && framing::comes_in_parts(request) && input.size() == 0 {
        return filters::CODE.next_body(request, input);
    }
    if !keep(&context, input) {
        return Status::ERROR;
    }
    if let Some(rc) = wait_for_client(&context) {
        return rc;
    }
    let input = context.filter.waiting.replace(Chain::EMPTY);
    let mut out = Chain::EMPTY;
    if !input.is_empty() {
        match run(&context, script, input) {
            Ok(made) => out = made,
            Err(rc) => return rc,
        }
        if out != input {
            input.free_links(request.pool());
            if out.is_empty() {
                return Status::OK;
            }
        }
    }
    let rc = filters::CODE.next_body(request, out);
    if rc != Status::ERROR {
        file_sent(&context, out);
    }
    rc
}

/// Adds the input to what waits, or drops it if the response has ended; false without memory.
fn keep(context: &Context, input: Chain) -> bool {
    let filter = &context.filter;
    if filter.seen_last.get() {
        input.bufs().for_each(|mut buf| buf.consume());
        return true;
    }
    let mut waiting = filter.waiting.get();
    let kept = waiting.append_copy(context.request().pool(), input);
    filter.waiting.set(waiting);
    kept.is_ok()
}

/// Sends earlier output of this filter that the client has not taken; `Some` if it still has not,
/// or on failure.
fn wait_for_client(context: &Rc<Context>) -> Option<Status> {
    let request = context.request();
    if !is_waiting(context) {
        return None;
    }
    let rc = filters::CODE.next_body(request, Chain::EMPTY);
    if rc == Status::ERROR {
        return Some(rc);
    }
    file_sent(context, Chain::EMPTY);
    (rc != Status::OK && is_waiting(context)).then_some(Status::AGAIN)
}

fn is_waiting(context: &Context) -> bool {
    context.filter.recycled.is_busy() && client::has_buffered_output(context.request())
}

fn file_sent(context: &Context, out: Chain) {
    let pool = context.request().pool();
    context.filter.recycled.sent(pool, out, send::filter_tag());
}

/// Runs the code on `input` and returns the resulting chain.
fn run(context: &Rc<Context>, script: &Script, input: Chain) -> Result<Chain, Status> {
    const HTTP_SPECIAL_RESPONSE: i64 = 300;
    let chain = &context.filter.chain;
    let outer = chain.replace(input);
    let result =
        synchronous::run(context, script, Phase::BodyFilter, |_| Ok(0), |state| state.integer(-1));
    let out = chain.replace(outer);
    match result {
        Ok(code) if code != Status::ERROR.0 as i64 && code < HTTP_SPECIAL_RESPONSE => Ok(out),
        _ => Err(Status::ERROR),
    }
}

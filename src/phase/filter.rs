//! The driver of the filters' code, which can wait: the header or the body waits with it.

use std::rc::Rc;

use crate::config::Script;
use crate::lua::vm::Thread;
use crate::lua::{LuaFailure, Outcome};
use crate::nginx::core::guard::{fault_point, panics};
use crate::nginx::core::log::Line;
use crate::nginx::http::filters::HOLD;
use crate::nginx::http::{client, departure, filters};
use crate::nginx::{Chain, Level, Request, Status};
use crate::runtime::filter::Waiting;
use crate::runtime::filter_run::{Ended, FirstPart};
use crate::runtime::{Context, Phase, counters, scheduler};

/// Runs `script` in `phase`, with `chain` as the part of the body that it sees.
///
/// `None`: it waits, and `then` is called once it has ended.
pub fn run(
    context: &Rc<Context>,
    script: &Script,
    phase: Phase,
    chain: Chain,
    then: impl FnOnce(&Rc<Context>, Ended) + 'static,
) -> Option<Ended> {
    let (vm, request) = (context.vm(), context.request());
    let Ok(thread) = vm.take_filter_thread(request.log()) else {
        super::runner::no_coroutine(request);
        return Some(Ended::FAILED);
    };
    if let Err(error) = script.load(vm, thread.state, request) {
        vm.keep_filter_thread(thread, request.log());
        counters::count_load_error(phase);
        super::runner::load_failed(request, error);
        return Some(Ended::FAILED);
    }
    match context.start_filter(phase, thread, chain) {
        FirstPart::Plain { outcome: Outcome::Done, thread, exit, chain } => {
            let code = Some(thread.state.result_code());
            vm.keep_filter_thread(thread, request.log());
            Some(Ended { code, exit, chain })
        }
        FirstPart::Plain { outcome, thread, .. } => {
            failed(context, phase, outcome, thread);
            Some(Ended::FAILED)
        }
        FirstPart::Ended(ended) => Some(ended),
        FirstPart::Waits(run) => {
            let then = move |base: &Rc<Context>, ended| go_on(base, || then(base, ended));
            if context.filter_waits(run, Box::new(then)) { None } else { Some(Ended::FAILED) }
        }
    }
}

/// Logs the error of code that had no tasks.
#[cold]
fn failed(context: &Rc<Context>, phase: Phase, outcome: Outcome, thread: Thread) {
    let (vm, request) = (context.vm(), context.request());
    if let Outcome::Failed(failure) = outcome {
        counters::count_failure(phase, failure);
    }
    if outcome == Outcome::Failed(LuaFailure::Memory) {
        vm.release_memory_soon();
    }
    let mut line = Line::new();
    line.add(format_args!("failed to run {}: ", phase.failed_name()));
    scheduler::append_error_text(context, thread.state, &mut line);
    let mut main = vm.main();
    if main.produce(1, |main| main.push_traceback(thread.state, None, 0)).is_ok() {
        line.append(b"\n");
        line.append(main.bytes(-1).unwrap_or_default());
        main.pop(1);
    }
    request.log().write(Level::Err, line.bytes());
    vm.give_back_thread(thread, false, request.log());
}

/// The name of the next place for [`fault_point`].
struct GoingOn;

/// Does `work`, which goes on with a response whose filter has waited. A panic ends the response.
fn go_on(context: &Rc<Context>, work: impl FnOnce()) {
    let failed = panics(|| {
        fault_point::<GoingOn>();
        work();
    });
    if failed {
        give_up(context);
    }
}

/// What has waited has been passed on: what makes the response goes on, or, where a page has replaced that,
/// ends. False without memory.
pub fn proceed(context: &Context) -> bool {
    let request = context.request();
    let is_over = context.filter.replaced.get() && !client::has_buffered_output(request);
    if is_over && !request.is_subrequest() {
        // As nginx ends it after a page that a filter has made at once.
        request.finalize(Status::ERROR);
        return true;
    }
    request.post()
}

/// A filter's code has failed after a wait, too late to tell nginx: ends the response.
pub fn give_up(context: &Context) {
    let (request, filter) = (context.request(), &context.filter);
    filter.waits.set(Waiting::Failed);
    for chain in [filter.held.take(), filter.waiting.take()] {
        consume(chain);
    }
    if request.is_subrequest() {
        // What comes next finds out.
        filters::set_waits(request, true);
        request.post();
    } else {
        filters::set_waits(request, false);
        // As after a filter's error: what has been sent is not the whole.
        departure::set_gone(request);
        request.finalize(Status::ERROR);
    }
}

/// Drops what is in a chain.
pub fn consume(chain: Chain) {
    chain.bufs().for_each(|mut buf| buf.consume());
}

/// Whether the first body filter may have something to do: output waits, or is to be dropped.
#[inline]
pub fn holds(request: Request) -> bool {
    filters::waits(request) || request.filter_finalized() || request.header_only()
}

/// The first body filter: holds back what comes while the header waits.
pub fn hold(request: Request, input: Chain) -> Status {
    let Some(context) = Context::of(request) else { return HOLD.next_body(request, input) };
    let filter = &context.filter;
    match filter.waits.get() {
        Waiting::Header if filter.replaced.get() => consume(input),
        Waiting::Header => {
            let mut held = filter.held.get();
            let kept = held.append_copy(request.pool(), input);
            filter.held.set(held);
            if kept.is_err() {
                return Status::ERROR;
            }
        }
        Waiting::Failed => {
            consume(input);
            filters::set_waits(request, false);
            return Status::ERROR;
        }
        _ if filter.replaced.get() => {
            consume(input);
            // The page that replaces it, as far as nginx has not sent it yet. After OK, nginx would break
            // the connection off.
            let rc = HOLD.next_body(request, Chain::EMPTY);
            return if rc == Status::OK { Status::AGAIN } else { rc };
        }
        _ if filter.bodiless.get() => {
            consume(input);
            return HOLD.next_body(request, Chain::EMPTY);
        }
        _ => return HOLD.next_body(request, input),
    }
    Status::AGAIN
}

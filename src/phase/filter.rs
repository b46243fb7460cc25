//! The driver of the filters' code, which can wait: the header or the body waits with it.

use std::rc::Rc;

use super::held;
use crate::api::subrequest;
use crate::config::Script;
use crate::lua::{LuaFailure, Outcome, Thread};
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
            let begin = || held::begin(context);
            let waits = context.filter_waits(run, Box::new(then), begin);
            if waits { None } else { Some(Ended::FAILED) }
        }
    }
}

/// Logs the error of code that had no tasks.
#[cold]
fn failed(context: &Rc<Context>, phase: Phase, outcome: Outcome, thread: Thread) {
    let (vm, request) = (context.vm(), context.request());
    let failure = match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Done | Outcome::Yielded => LuaFailure::Runtime,
    };
    counters::count_failure(phase, failure);
    if failure == LuaFailure::Memory {
        vm.release_memory_soon();
    }
    let mut line = Line::new();
    line.add(format_args!("failed to run {}: ", phase.failed_name()));
    if outcome == Outcome::Yielded {
        // LuaJIT's own `coroutine.yield`: on the stack is no error, but what was to be yielded, if anything.
        line.append(b"attempt to yield across C-call boundary");
    } else {
        context.run_own_code(|| scheduler::append_error_text(context, thread.state, &mut line));
    }
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

/// What has waited has been passed on: what makes the response goes on, or, where a page has
/// replaced that, ends. False without memory.
pub fn proceed(context: &Context) -> bool {
    let request = context.request();
    let is_sent = context.filter.replaced.get() && !client::has_buffered_output(request);
    if is_sent && !request.is_subrequest() {
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
    consume(filter.waiting.take().whole());
    if request.is_subrequest() {
        // Its next output finds `Waiting::Failed`, and gets the error.
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
    filters::waits(request)
        || request.filter_finalized()
        || request.header_only()
        || is_of_replaced(request)
}

/// Whether it is a subrequest of a response that may have been replaced.
#[inline]
fn is_of_replaced(request: Request) -> bool {
    let main = request.main();
    request != main && (main.filter_finalized() || main.header_only())
}

/// Whether the output of a subrequest is to be dropped, because a filter that has waited has
/// replaced the response that it belongs to, or left no body of it.
fn is_dropped(request: Request) -> bool {
    is_of_replaced(request)
        && Context::of(request.main()).is_some_and(|main| {
            let filter = &main.filter;
            filter.replaced.get() || filter.bodiless.get()
        })
}

/// The first body filter: holds back what comes while code of a filter waits.
pub fn hold(request: Request, input: Chain) -> Status {
    if is_dropped(request) && !subrequest::is_captured(request) {
        consume(input);
        return HOLD.next_body(request, Chain::EMPTY);
    }
    let Some(context) = Context::of(request) else { return HOLD.next_body(request, input) };
    let filter = &context.filter;
    match filter.waits.get() {
        Waiting::Header if filter.replaced.get() => consume(input),
        Waiting::Header => {
            if held::keep(&context, input).is_err() {
                return Status::ERROR;
            }
        }
        Waiting::Body if held::is_behind_subrequests(&context) => {
            if held::keep(&context, input).is_err() {
                return Status::ERROR;
            }
        }
        Waiting::Failed => {
            consume(input);
            filters::set_waits(request, false);
            return refuse(&context);
        }
        _ if filter.replaced.get() => {
            consume(input);
            // The page that replaces it, as far as nginx has not sent it yet. After OK, nginx would
            // break the connection off.
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

/// The result of a body filter whose code has failed after a wait. nginx then takes the client's connection for broken,
/// whichever request it is; but of a captured subrequest, only the response is. (Where the code fails at once, scripts may
/// rely on what nginx does, as with the C module.)
pub fn refuse(context: &Context) -> Status {
    let request = context.request();
    if subrequest::is_captured(request) && !client::is_broken(request) {
        context.filter.has_refused.set(true);
    }
    Status::ERROR
}

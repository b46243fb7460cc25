//! An uncaught error, and its line in the log.

use std::rc::Rc;

use crate::config::Phase;
use crate::lua::openresty::OnMain;
use crate::lua::{Kind, LuaFailure, State};
use crate::nginx::Level;
use crate::nginx::core::log::{Line, cycle_log};
use crate::runtime::context::Context;
use crate::runtime::counters;
use crate::runtime::task::{Role, Task};
use crate::runtime::traceback;

/// An error that is being passed on, apart from its value: its kind, and where it was raised.
pub(super) struct Abort {
    failure: LuaFailure,
    trace: Vec<u8>,
}

impl Abort {
    /// The error on top of the stack of `task`.
    pub(super) fn of(task: &Rc<Task>, failure: LuaFailure) -> Abort {
        Abort { failure, trace: traceback::of(task) }
    }
}

/// What the line calls a failure.
fn kind(failure: LuaFailure) -> &'static str {
    match failure {
        LuaFailure::Runtime => "runtime error",
        LuaFailure::Syntax => "syntax error",
        LuaFailure::Memory => "[lua] memory allocation error",
        LuaFailure::Handler => "error handler error",
    }
}

/// Logs the error on top of the stack of `task`, which it ends.
pub(super) fn log_abort(context: &Context, task: &Task, what: &str, abort: &mut Option<Abort>) {
    let Some(Abort { failure, trace }) = abort.take() else { return };
    counters::count_failure(context.phase.get(), failure);
    let mut line = Line::new();
    let is_entry = task.role() == Role::Entry;
    let hook = context.fake_end.hook.get().filter(|_| is_entry);
    match hook {
        Some(directive) => line.add(format_args!("{directive} error: ")),
        None if is_entry
            && (context.is_filter_run()
                || matches!(context.phase.get(), Phase::Log | Phase::Balancer)) =>
        {
            let phase = context.phase.get().failed_name();
            line.add(format_args!("failed to run {phase}: "));
        }
        None => line.add(format_args!("lua {what} aborted: {}: ", kind(failure))),
    }
    append_error_text(context, task.state(), &mut line);
    line.append(b"\n");
    line.append(&trace);
    let log = if hook.is_some() { cycle_log() } else { context.request().log() };
    log.write(Level::Err, line.bytes());
}

/// Appends the text of the error on top of `failed`. That coroutine runs no code any more, so a
/// `__tostring` runs on the main one, and so does what makes a number's text.
pub fn append_error_text(context: &Context, mut failed: State, line: &mut Line) {
    if failed.kind(-1) == Kind::String {
        line.append(failed.error_text());
        return;
    }
    let mut main = context.main_state();
    if main.reserve(3).is_err() {
        line.append(b"stack overflow");
        return;
    }
    // A `__tostring` must not end the request.
    let end = context.ending.end.take();
    let running = OnMain::run(main, context.request());
    failed.move_to(main, 1);
    main.push_value(-1);
    line.append(main.error_text());
    if main.kind(-2) == Kind::Number {
        // As in the C module, the thread that waits for this one gets the text.
        main.remove(-2);
    } else {
        // That thread gets the value itself.
        main.pop(1);
    }
    main.move_to(failed, 1);
    drop(running);
    context.ending.end.replace(end);
}

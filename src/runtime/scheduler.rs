//! The scheduler: runs tasks, decides what each yield means, and what follows when one ends.
//!
//! Event handlers only call [`wake`]; everything about who runs next is decided here.

use std::rc::Rc;

use super::context::{Context, End, Switch};
use super::task::{Role, Task, TaskStatus};
use super::{ends, output, traceback};
use crate::config::Phase;
use crate::lua::registry::NO_MEMORY;
use crate::lua::state::{Kind, REGISTRY};
use crate::lua::{LuaFailure, Outcome, State, openresty};
use crate::nginx::core::guard::{fault_point, guard, panics};
use crate::nginx::core::log::Line;
use crate::nginx::event::alarm::Waiter;
use crate::nginx::http::request::PostedRequests;
use crate::nginx::http::{callback, client};
use crate::nginx::{Level, Request, Status};
use crate::ngx_log;

/// What the scheduler does after a task stopped running.
enum Step {
    /// Run this one with that many values.
    Run(Rc<Task>, i32),
    /// Leave with this code.
    Leave(Status),
}

/// An error on its way, beside its value: what kind it is, and where it was raised.
struct Abort {
    kind: &'static str,
    trace: Vec<u8>,
}

impl Abort {
    /// The error on top of the stack of `task`.
    fn of(task: &Rc<Task>, failure: LuaFailure) -> Abort {
        Abort {
            kind: match failure {
                LuaFailure::Runtime => "runtime error",
                LuaFailure::Syntax => "syntax error",
                LuaFailure::Memory => "[lua] memory allocation error",
                LuaFailure::Handler => "error handler error",
            },
            trace: traceback::of(task),
        }
    }
}

/// Runs `task` with the `values` on its stack, and whatever it resumes or hands over to.
///
/// `AGAIN`: everything waits. `DONE`: the request went on elsewhere (`ngx.exec`). Anything else:
/// the handler is over, with that result.
pub fn run(context: &Rc<Context>, task: Rc<Task>, values: i32) -> Status {
    let _running = context.run_guard();
    let (mut task, mut values) = (task, values);
    let mut abort = None;
    context.set_current(Some(task.clone()));
    loop {
        let step = if task.propagates_error.replace(false) {
            fails(context, &task, &mut abort)
        } else {
            task.runs.set(true);
            let outcome = task.state().resume(values);
            task.runs.set(false);
            match outcome {
                Outcome::Yielded => yielded(context, &task),
                Outcome::Done => finished(context, &task),
                Outcome::Failed(failure) => failed(context, &task, failure, &mut abort),
            }
        };
        match step {
            Step::Run(next, given) => {
                context.set_current(Some(next.clone()));
                (task, values) = (next, given);
            }
            Step::Leave(rc) => {
                output::release_held(context);
                context.set_current(None);
                return rc;
            }
        }
    }
}

/// `task` has got an error from a wrapped child.
#[cold]
fn fails(context: &Rc<Context>, task: &Rc<Task>, abort: &mut Option<Abort>) -> Step {
    abort.get_or_insert_with(|| Abort::of(task, LuaFailure::Runtime));
    aborted(context, task, abort)
}

fn yielded(context: &Rc<Context>, task: &Rc<Task>) -> Step {
    if context.is_released() {
        return Step::Leave(Status::ERROR);
    }
    if context.request().get().uri_changed() != 0 {
        return Step::Leave(ends::jump(context));
    }
    if context.is_to_end() {
        return Step::Leave(end(context));
    }
    match context.take_switch() {
        Switch::Wait => Step::Leave(Status::AGAIN),
        Switch::Spawn(thread, values) => Step::Run(thread, values),
        Switch::Resume(child, values) => resume_child(task, child, values),
        Switch::Yield(_) if task.is_thread() => yield_thread(context, task),
        Switch::Yield(values) => return_to_resumer(context, task, values),
    }
}

/// Ends the handler as the code said.
#[cold]
fn end(context: &Rc<Context>) -> Status {
    match context.ending.end.take() {
        Some(End::Exit(code)) => ends::exit(context, Status(code)),
        Some(End::Exec { uri, args }) => ends::exec(context, &uri, &args),
        None => Status::AGAIN,
    }
}

/// `coroutine.yield` in a light thread: the others that are ready run first.
fn yield_thread(context: &Rc<Context>, task: &Rc<Task>) -> Step {
    task.state().set_top(0);
    task.status.set(TaskStatus::Running);
    if context.has_posted() {
        context.post(task.clone(), 0);
        return Step::Leave(Status::AGAIN);
    }
    Step::Run(task.clone(), 0)
}

/// `coroutine.resume`: the yielded values become the arguments of the coroutine, or the results of
/// its `coroutine.yield`. Below them stands the coroutine, which stays.
fn resume_child(task: &Rc<Task>, child: Rc<Task>, values: i32) -> Step {
    if child.state().reserve_waiting(values).is_err() {
        child.status.set(TaskStatus::Suspended);
        task.state().set_top(0);
        return raise_in(task, "stack overflow");
    }
    task.resume(&child);
    if values > 0 {
        task.state().move_to(child.state(), values);
    }
    Step::Run(child, values)
}

/// `coroutine.yield` in a coroutine: its values become the results of the resume.
fn return_to_resumer(context: &Rc<Context>, task: &Rc<Task>, values: i32) -> Step {
    let Some(parent) = task.leave_parent() else {
        return no_parent(context);
    };
    task.status.set(TaskStatus::Suspended);
    hand_over(task, parent, values, resume_status(task))
}

/// `coroutine.resume` gives its status first, `coroutine.wrap` does not.
fn resume_status(child: &Task) -> Option<bool> {
    (child.role() != Role::Wrapped).then_some(true)
}

/// `parent` runs on with the top `values` of `task` as results, below them perhaps a status.
#[inline(always)]
fn hand_over(task: &Task, parent: Rc<Task>, values: i32, status: Option<bool>) -> Step {
    if parent.state().reserve_waiting(values + 1).is_err() {
        return raise_in(&parent, "stack overflow");
    }
    if let Some(status) = status {
        parent.state().push_bool(status);
    }
    if values > 0 {
        task.state().move_to(parent.state(), values);
    }
    Step::Run(parent, values + i32::from(status.is_some()))
}

/// `task` runs on with an error.
#[cold]
fn raise_in(task: &Rc<Task>, text: &str) -> Step {
    task.state().push_str(text);
    task.propagates_error.set(true);
    Step::Run(task.clone(), 0)
}

fn finished(context: &Rc<Context>, task: &Rc<Task>) -> Step {
    task.drop_pending();
    task.status.set(TaskStatus::Dead);
    drop_zombies(context, task);
    match task.role() {
        // `ngx.exit` could not yield, and nobody heard of it: it is called for all the same.
        Role::Entry | Role::LightThread if context.is_to_end() => Step::Leave(end(context)),
        Role::Entry => {
            context.remove_task(task);
            leave_if_over(context)
        }
        Role::LightThread => end_light_thread(context, task, true),
        Role::Coroutine | Role::Wrapped => end_coroutine(context, task),
    }
}

/// Ended light threads that the finished task never waited for go with it.
#[inline(always)]
fn drop_zombies(context: &Rc<Context>, task: &Task) {
    if !task.zombies.borrow().is_empty() {
        end_zombies(context, task);
    }
}

fn end_zombies(context: &Rc<Context>, task: &Task) {
    for zombie in task.zombies.take() {
        context.remove_task(&zombie);
    }
}

/// Ends a light thread that runs or waits, with the coroutines that run on its behalf.
pub fn kill(context: &Rc<Context>, chain: &[Rc<Task>]) {
    for task in chain {
        drop_zombies(context, task);
        context.remove_task(task);
    }
    decrement(&context.tasks.light_threads);
}

/// The parent took the results of a light thread that had ended.
pub fn forget_zombie(context: &Rc<Context>, parent: &Task, thread: &Rc<Task>) {
    parent.zombies.borrow_mut().retain(|zombie| !Rc::ptr_eq(zombie, thread));
    context.remove_task(thread);
}

fn decrement(count: &std::cell::Cell<usize>) {
    count.set(count.get().saturating_sub(1));
}

/// The handler is over once its entry thread and all light threads are.
fn leave_if_over(context: &Rc<Context>) -> Step {
    if context.tasks.light_threads.get() > 0 || context.is_entry_alive() {
        return Step::Leave(Status::AGAIN);
    }
    Step::Leave(all_done(context))
}

/// Every thread ended: the content phase closes the response.
fn all_done(context: &Rc<Context>) -> Status {
    if context.has_entered(Phase::Content) && !context.fake {
        let rc = output::send_last(context);
        if rc.is_failure() {
            return rc;
        }
    }
    Status::OK
}

/// A light thread ended, its results (or its error) on its stack.
fn end_light_thread(context: &Rc<Context>, task: &Rc<Task>, success: bool) -> Step {
    if !success {
        keep_error_only(task);
    }
    if let Some(parent) = task.parent().filter(|parent| parent.is_alive()) {
        if task.waited_by_parent.get() {
            return hand_results_over(context, task, parent, success);
        }
        task.state().push_bool(success);
        task.state().insert(1);
        task.status.set(TaskStatus::Zombie);
        #[expect(
            clippy::disallowed_methods,
            reason = "`reserve_thread` has reserved the capacity"
        )]
        parent.zombies.borrow_mut().push(task.clone());
        // The parent may be a coroutine that nobody resumes any more.
        decrement(&context.tasks.light_threads);
        return leave_if_over(context);
    }
    context.remove_task(task);
    decrement(&context.tasks.light_threads);
    leave_if_over(context)
}

/// Leaves the error on the stack of a failed coroutine, and removes what its code had there.
///
/// A quirk of upstream's that scripts see: for `error("text")`, `ngx.thread.wait` gives the text
/// without its position first, and then the whole message.
fn keep_error_only(task: &Task) {
    let state = task.state();
    let top = state.top();
    if top > 1 && state.kind(1) == Kind::String && state.kind(top) == Kind::String {
        let (text, message) = (state.bytes(1), state.bytes(top));
        if let (Some(text), Some(message)) = (text, message)
            && message.strip_suffix(text).is_some_and(|position| position.ends_with(b": "))
        {
            if top > 2 {
                state.replace(2);
                state.set_top(2);
            }
            return;
        }
    }
    if top > 1 {
        state.replace(1);
        state.set_top(1);
    }
}

/// The parent sits in `ngx.thread.wait` for this thread: it gets the results now.
fn hand_results_over(
    context: &Rc<Context>,
    task: &Rc<Task>,
    parent: Rc<Task>,
    success: bool,
) -> Step {
    // Lets go of the other threads that the parent waits for.
    parent.drop_pending();
    let step = hand_over(task, parent, task.state().top(), Some(success));
    context.remove_task(task);
    decrement(&context.tasks.light_threads);
    step
}

fn end_coroutine(context: &Rc<Context>, task: &Rc<Task>) -> Step {
    let Some(parent) = task.leave_parent() else {
        return no_parent(context);
    };
    // It is there: its resumer's stack keeps it until that runs on.
    task.be_forgotten();
    let step = hand_over(task, parent, task.state().top(), resume_status(task));
    context.remove_task(task);
    step
}

#[cold]
fn failed(
    context: &Rc<Context>,
    task: &Rc<Task>,
    failure: LuaFailure,
    abort: &mut Option<Abort>,
) -> Step {
    task.drop_pending();
    // What the failed code had asked for is void.
    context.take_switch();
    // `coroutine.resume` hands the error value over as it is, and logs nothing.
    if failure == LuaFailure::Memory
        && let Some(context) = task.context()
    {
        context.vm().release_memory_soon();
    }
    *abort = (task.role() != Role::Coroutine).then(|| Abort::of(task, failure));
    aborted(context, task, abort)
}

/// An error reached `task`, its own or that of a wrapped child.
fn aborted(context: &Rc<Context>, task: &Rc<Task>, abort: &mut Option<Abort>) -> Step {
    task.status.set(TaskStatus::Dead);
    drop_zombies(context, task);
    match task.role() {
        Role::LightThread => {
            log_abort(context, task, "user thread", abort);
            end_light_thread(context, task, false)
        }
        Role::Entry => {
            log_abort(context, task, "entry thread", abort);
            Step::Leave(ends::abort(context))
        }
        Role::Coroutine | Role::Wrapped => {
            let Some(parent) = task.leave_parent() else {
                return no_parent(context);
            };
            let raises = task.role() == Role::Wrapped;
            if !raises {
                *abort = None;
            }
            let step = hand_over(task, parent.clone(), 1, (!raises).then_some(false));
            parent.propagates_error.set(raises || parent.propagates_error.get());
            context.remove_task(task);
            step
        }
    }
}

/// Logs the error on top of the stack of `task`, which ends with it.
fn log_abort(context: &Context, task: &Task, what: &str, abort: &mut Option<Abort>) {
    let Some(Abort { kind, trace }) = abort.take() else { return };
    let mut line = Line::new();
    line.add(format_args!("lua {what} aborted: {kind}: "));
    append_error_text(context, task.state(), &mut line);
    line.append(b"\n");
    line.append(&trace);
    context.request().log().write(Level::Err, line.bytes());
}

/// Appends the text of the error on top of `failed`, a coroutine that runs no code any more: that
/// of a `__tostring` runs on the main one.
fn append_error_text(context: &Context, failed: State, line: &mut Line) {
    if matches!(failed.kind(-1), Kind::String | Kind::Number) {
        line.append(failed.error_text());
        return;
    }
    let main = context.main_state();
    if main.reserve(3).is_err() {
        line.append(b"stack overflow");
        return;
    }
    // To end the request is not for a `__tostring` to say.
    let (before, end) = (openresty::request(main), context.ending.end.take());
    openresty::set_request(main, context.request().as_ptr().cast());
    failed.move_to(main, 1);
    main.push_value(-1);
    line.append(main.error_text());
    main.pop(1);
    // The thread that waits for this one gets the value itself.
    main.move_to(failed, 1);
    openresty::set_request(main, before);
    context.ending.end.replace(end);
}

#[cold]
fn no_parent(context: &Rc<Context>) -> Step {
    let rc = ends::abort(context);
    ngx_log!(
        context.request().log(),
        Level::Err,
        "lua handler aborted: user coroutine has no parent"
    );
    Step::Leave(rc)
}

/// Runs the threads that are ready, one after another.
///
/// In the content phase (and in timers) this finalizes the request itself and gives `DONE`;
/// before, it gives the phase's result.
pub fn run_posted(context: &Rc<Context>) -> Status {
    loop {
        if context.is_released() {
            return Status::DONE;
        }
        let Some((task, values)) = context.take_posted() else {
            return Status::DONE;
        };
        if task.status.get() != TaskStatus::Running {
            continue;
        }
        let rc = run(context, task, values);
        if rc == Status::AGAIN {
            continue;
        }
        if rc == Status::DONE {
            finalize(context, Status::DONE);
            continue;
        }
        if context.has_entered(Phase::Content) {
            finalize(context, rc);
        }
        return rc;
    }
}

/// Hands the request back to nginx, or ends the stand-in for one.
pub fn finalize(context: &Rc<Context>, rc: Status) {
    if context.is_released() {
        return;
    }
    if context.fake {
        super::fake::finalize(context, rc);
    } else {
        context.request().finalize(rc);
    }
}

/// Continues the tasks that events woke. Phase handlers call this when nginx enters them again.
pub fn resume_woken(context: &Rc<Context>) -> Status {
    match context.take_woken() {
        Some((task, values)) => go_on(context, task, values),
        // nginx entered for something else: output can go on, perhaps.
        None => output::write_event(context),
    }
}

/// Continues `task`, and then the others that events woke.
fn go_on(context: &Rc<Context>, task: Rc<Task>, values: i32) -> Status {
    let mut next = (task, values);
    loop {
        let (task, values) = next;
        let rc = if task.is_alive() {
            let rc = run(context, task, values);
            settle(context, rc)
        } else {
            Status::DONE
        };
        if rc != Status::DONE || context.is_released() {
            return rc;
        }
        match context.take_woken() {
            Some(woken) => next = woken,
            None => return rc,
        }
    }
}

/// After a task ran: what the phase handler gives to nginx.
pub fn settle(context: &Rc<Context>, rc: Status) -> Status {
    if rc == Status::AGAIN {
        return run_posted(context);
    }
    if rc == Status::DONE {
        finalize(context, Status::DONE);
        return run_posted(context);
    }
    if context.has_entered(Phase::Content) {
        finalize(context, rc);
        return Status::DONE;
    }
    rc
}

/// Runs `task`, the entry thread of a fake request, from its start until it waits or ends. `begin`
/// puts its arguments onto its stack and tells how many they are. What panics ends as after an error.
pub fn start_fake(context: &Rc<Context>, task: Rc<Task>, begin: impl FnOnce() -> i32) {
    let start = || {
        context.set_entry(task.clone());
        let values = begin();
        let rc = run(context, task, values);
        settle(context, rc);
    };
    if panics(start) {
        fail(context);
    }
}

/// An event completed what `task` waited for: it runs on, with the `values` on its stack.
pub fn wake(task: &Rc<Task>, values: i32) {
    let Some(context) = task.context() else { return };
    if panics(|| wake_now(&context, task, values)) {
        fail(&context);
    }
    Context::retire(context);
}

/// As [`wake`], with the `count` results that `push` makes; it may raise, for it runs in protected
/// mode. Where memory is out, the results are nil and "no memory".
pub fn wake_with(task: &Rc<Task>, count: i32, push: impl FnOnce(State)) {
    let Some(main) = task.main_state() else { return };
    let made = main.produce(count, push).is_ok();
    let fits = task.state().reserve(count).is_ok();
    if made && fits {
        main.move_to(task.state(), count);
        return wake(task, count);
    }
    if made {
        main.pop(count);
    }
    wake(task, push_no_memory(task));
}

/// Pushes nil and "no memory", which takes none; gives their number.
pub fn push_no_memory(task: &Task) -> i32 {
    if task.state().reserve(2).is_err() {
        return 0;
    }
    task.state().push_nil();
    task.state().raw_get_index(REGISTRY, NO_MEMORY);
    2
}

/// The name of the place for [`fault_point`].
struct Waking;

fn wake_now(context: &Rc<Context>, task: &Rc<Task>, values: i32) {
    fault_point::<Waking>();
    task.drop_pending();
    if !task.is_alive() || context.is_released() {
        return;
    }
    let request = context.request();
    // A fake request has no subrequests, and its connection may be freed.
    let posted = (!context.fake).then(|| PostedRequests::of(request));
    if context.has_entered(Phase::Content) || context.fake {
        go_on(context, task.clone(), values);
    } else {
        context.set_woken(task.clone(), values);
        // nginx may have emptied its slot: the phase handler must find this context again.
        context.reattach();
        request.run_phases();
    }
    if let Some(posted) = posted {
        posted.run();
    }
}

/// Something of ours panicked in an event: the request ends as after an error, for nothing else
/// would end it.
pub fn fail(context: &Rc<Context>) {
    guard((), || {
        if context.is_released() {
            return;
        }
        let posted = (!context.fake).then(|| PostedRequests::of(context.request()));
        let rc = ends::abort(context);
        finalize(context, rc);
        if let Some(posted) = posted {
            posted.run();
        }
    });
}

/// As [`fail`], for the request of a task that is not over.
pub fn fail_task(task: &Task) {
    if let Some(context) = task.context() {
        fail(&context);
    }
}

fn run_event<F: FnOnce(&Rc<Context>)>(context: &Rc<Context>, work: F) {
    fault_point::<F>();
    work(context);
}

impl Waiter for std::rc::Weak<Task> {
    fn abandon(&self) {
        if let Some(task) = self.upgrade() {
            fail_task(&task);
        }
    }
}

/// Does `work` for the context of `request`, in an event that nginx tells of it.
pub fn on_event(request: Request, work: impl FnOnce(&Rc<Context>)) {
    let Some(context) = Context::of(request) else { return };
    if panics(|| run_event(&context, work)) {
        fail(&context);
    }
    Context::retire(context);
}

/// nginx tells this context when the connection can be written to.
pub fn listen_for_write(context: &Rc<Context>) {
    let request = context.request();
    if context.has_entered(Phase::Content) {
        client::set_write_handler(request, callback::event(content_write_event));
    } else {
        client::run_phases_when_writable(request);
    }
}

/// nginx's write event in the content phase.
fn content_write_event(request: Request) {
    on_event(request, |context| {
        resume_woken(context);
    });
}

//! Events wake tasks: every event handler of the module comes here.

use std::rc::Rc;

use super::turns::go_on;
use super::{finalize, resume_woken};
use crate::config::Phase;
use crate::lua::State;
use crate::lua::registry::NO_MEMORY;
use crate::nginx::Request;
use crate::nginx::core::guard::{fault_point, guard, panics};
use crate::nginx::event::alarm::Waiter;
use crate::nginx::http::request::PostedRequests;
use crate::nginx::http::{callback, client};
use crate::runtime::context::Context;
use crate::runtime::task::Task;
use crate::runtime::{client_watch, ends};

/// Continues `task`, whose operation has completed, with the `values` on its stack.
pub fn wake(task: &Rc<Task>, values: i32) {
    let Some(context) = task.context() else { return };
    if panics(|| wake_now(&context, task, values)) {
        fail(&context);
    }
    Context::retire(context);
}

/// As [`wake`], with the `count` results that `push` makes. It may raise, because it runs in
/// protected mode. Without memory, the results are nil and "no memory".
pub fn wake_with(task: &Rc<Task>, count: i32, push: impl FnOnce(State)) {
    let Some(mut main) = task.main_state() else { return };
    let made = main.produce(count, push).is_ok();
    let fits =
        task.state().reserve_waiting(|| Some(main), count).is_ok() && !task.state().has_lost_wait();
    if made && fits {
        main.move_to(task.state(), count);
        return wake(task, count);
    }
    if made {
        main.pop(count);
    }
    wake(task, push_no_memory(task));
}

/// Pushes nil and "no memory", which takes no memory; returns their number. A task that cannot be resumed any
/// more will fail with that text.
pub fn push_no_memory(task: &Task) -> i32 {
    if task.state().has_lost_wait() {
        task.state().push_registered(NO_MEMORY);
        task.propagates_error.set(true);
        return 0;
    }
    if task.state().reserve(2).is_err() {
        return 0;
    }
    task.state().push_nil();
    task.state().push_registered(NO_MEMORY);
    2
}

/// The name of this place for [`fault_point`].
struct Waking;

fn wake_now(context: &Rc<Context>, task: &Rc<Task>, values: i32) {
    fault_point::<Waking>();
    task.drop_pending();
    if !task.is_alive() || context.is_released() {
        return;
    }
    let request = context.request();
    let posted = posted(context);
    if context.has_entered(Phase::Content) || context.is_alone() {
        go_on(context, task.clone(), values);
    } else {
        context.set_woken(task.clone(), values);
        // nginx may have cleared its slot: the phase handler must find this context again.
        context.reattach();
        request.run_phases();
    }
    if let Some(posted) = posted {
        posted.run();
    }
}

/// What nginx posts while the code of `context` goes on. A request that nginx does not know has no
/// subrequests, and its connection may be freed.
fn posted(context: &Context) -> Option<PostedRequests> {
    if context.is_alone() { None } else { PostedRequests::of(context.request()) }
}

/// Ends a request as after an error, because code of this module has panicked in an event, and
/// nothing else would end the request.
pub fn fail(context: &Rc<Context>) {
    guard((), || {
        if context.is_released() {
            return;
        }
        let posted = posted(context);
        let rc = ends::abort(context);
        finalize(context, rc);
        if let Some(posted) = posted {
            posted.run();
        }
    });
}

/// As [`fail`], for the request of a task, unless the task has ended.
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

/// Does `work` for the context of `request`, in an event from nginx.
pub fn on_event(request: Request, work: impl FnOnce(&Rc<Context>)) {
    let Some(context) = Context::of(request) else { return };
    if panics(|| run_event(&context, work)) {
        fail(&context);
    }
    Context::retire(context);
}

/// Has nginx report to this context when the connection can be written to.
pub fn listen_for_write(context: &Rc<Context>) {
    let request = context.request();
    if context.has_entered(Phase::Content) {
        client::set_write_handler(request, callback::event(content_write_event));
    } else if request.is_http3() {
        client::set_write_handler(request, callback::event(early_write_event));
    } else {
        client::run_phases_when_writable(request);
    }
}

/// nginx's write event in the content phase.
fn content_write_event(request: Request) {
    if client_watch::is_told_by_write_event(request) {
        return;
    }
    on_event(request, |context| {
        resume_woken(context);
    });
}

/// nginx's write event of an HTTP/3 request in an earlier phase.
fn early_write_event(request: Request) {
    if !client_watch::is_told_by_write_event(request) {
        request.run_phases();
    }
}

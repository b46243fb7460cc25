//! `ngx.flush`: having the filters send all they hold, and waiting until the client has taken it.

use std::rc::{Rc, Weak};

use super::body::{Prepared, prepare};
use super::hold::{filter, is_refused, new_buf, pass_on};
use crate::config::Phase;
use crate::lua::State;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::client::{self, WriteEvent};
use crate::nginx::http::{filters, subrequest};
use crate::nginx::{Chain, Request, Status};
use crate::ngx_debug;
use crate::runtime::context::Context;
use crate::runtime::context::response_state::Stage;
use crate::runtime::scheduler;
use crate::runtime::task::{Operation, Task};

/// Makes the filters send all that they hold back.
pub fn flush(context: &Rc<Context>) -> Result<Status, OutOfMemory> {
    Ok(match prepare(context) {
        Prepared::Finished(rc) => rc,
        Prepared::Body if is_refused(context) => Status::ERROR,
        Prepared::Body => pass_on(context, flush_chain(context)?),
    })
}

/// An empty buffer that makes the filters send all that they hold back.
fn flush_chain(context: &Context) -> Result<Chain, OutOfMemory> {
    let (chain, mut buf) = new_buf(context, 0)?;
    buf.set_flush();
    Ok(chain)
}

/// Asks nginx to send what it holds back; `DONE` while tasks wait for the client to take it.
fn flush_pending(context: &Rc<Context>) -> Status {
    let request = context.request();
    let buffered = client::buffered_bits(request);
    ngx_debug!(request.log(), "lua flushing output: buffered 0x{buffered:x}");
    let has_ended = context.output.stage.get() == Stage::Ended;
    let chain = if has_ended || context.response.is_busy() {
        Chain::EMPTY
    } else {
        match flush_chain(context) {
            Ok(chain) => chain,
            Err(OutOfMemory) => return Status::ERROR,
        }
    };
    let rc = filter(context, chain);
    if rc == Status::ERROR || rc.0 > 0 {
        return rc;
    }
    if !is_held(request) {
        client::stop_send_timer(request);
        if context.output.stage.get() == Stage::Ended {
            client::end_stream(request);
        }
        return Status::OK;
    }
    if !client::wait_for_writable(request) {
        return Status::ERROR;
    }
    if context.output.flushing.get() == 0 {
        return Status::OK;
    }
    let buffered = client::buffered_bits(request);
    ngx_debug!(request.log(), "lua flush still waiting: buffered 0x{buffered:x}");
    Status::DONE
}

/// Whether output still waits for the client, or for a rate limit.
pub fn is_pending(context: &Context) -> bool {
    let request = context.request();
    is_held(request) || client::is_output_delayed(request)
}

/// Whether output waits for the client, or for code of a filter.
fn is_held(request: Request) -> bool {
    client::has_buffered_output(request) || filters::waits(request)
}

/// What `ngx.flush(true)` waits for; dropped with its task.
struct Flush {
    context: Weak<Context>,
}

impl Operation for Flush {
    fn name(&self) -> &'static str {
        "ngx.flush"
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let Some(context) = self.context.upgrade() else { return };
        context.output.flushing.set(context.output.flushing.get().saturating_sub(1));
        if context.output.flushing.get() == 0 && !context.is_released() {
            client::stop_send_timer(context.request());
        }
    }
}

/// Has `task` wait until all output has been sent; false if the connection is broken.
pub fn wait_for_flush(context: &Rc<Context>, task: &Task) -> bool {
    let request = context.request();
    scheduler::listen_for_write(context);
    if !client::wait_for_writable(request) {
        return false;
    }
    task.flushing.set(true);
    context.output.flushing.set(context.output.flushing.get() + 1);
    task.wait_for(Box::new(Flush { context: Rc::downgrade(context) }));
    true
}

/// After the response's end: has the rest sent while the code goes on, and its end told.
pub fn finish_sending(context: &Rc<Context>) {
    let request = context.request();
    if request.is_subrequest() {
        // nginx runs the write event handler when it is the subrequest's turn in the page.
        return scheduler::listen_for_write(context);
    }
    if is_held(request) {
        scheduler::listen_for_write(context);
        // If nginx refuses, the rest is sent once the code has ended.
        client::wait_for_writable(request);
    } else {
        client::end_stream(request);
    }
}

/// The connection can take more output, or has failed.
pub fn write_event(context: &Rc<Context>) -> Status {
    let useless = if context.has_entered(Phase::Content) { Status::OK } else { Status::DONE };
    // It may be this request's turn to send output now.
    if subrequest::has_postponed(context.request())
        && filter(context, Chain::EMPTY) == Status::ERROR
    {
        return fail(context);
    }
    if client::is_broken(context.request()) && context.output.flushing.get() > 0 {
        return resume_flushing(context);
    }
    match client::write_event(context.request(), context.location().abort_level()) {
        WriteEvent::Useless => {
            ngx_debug!(context.request().log(), "useless lua write event handler");
            return useless;
        }
        WriteEvent::TimedOut => {}
        WriteEvent::Failed => return fail(context),
        WriteEvent::Ready => {
            if is_held(context.request()) {
                let rc = flush_pending(context);
                if rc != Status::ERROR && rc != Status::OK {
                    return useless;
                }
            }
        }
    }
    if context.output.flushing.get() == 0 {
        ngx_debug!(context.request().log(), "useless lua write event handler");
        return useless;
    }
    resume_flushing(context)
}

fn fail(context: &Rc<Context>) -> Status {
    if context.has_entered(Phase::Content) {
        scheduler::finalize(context, Status::ERROR);
    }
    Status::ERROR
}

/// Wakes each task that waits in `ngx.flush(true)`.
fn resume_flushing(context: &Rc<Context>) -> Status {
    let Ok(waiting) = context.take_flushing() else { return fail(context) };
    for task in waiting {
        if context.is_released() || !task.is_alive() {
            continue;
        }
        let values = push_flush_result(context, &task);
        task.drop_pending();
        let rc = scheduler::run(context, task, values);
        let rc = scheduler::settle(context, rc);
        if rc == Status::ERROR || rc.0 >= 0 {
            return rc;
        }
    }
    Status::DONE
}

/// 1, or nil and why the output did not reach the client.
fn push_flush_result(context: &Context, task: &Task) -> i32 {
    let Some(text) = client::failure(context.request()) else {
        task.state().push_integer(1);
        return 1;
    };
    let mut main = context.main_state();
    let push = |main: State| {
        main.push_nil();
        main.push_str(text);
    };
    if main.produce(2, push).is_err() {
        return scheduler::push_no_memory(task);
    }
    main.move_to(task.state(), 2);
    2
}

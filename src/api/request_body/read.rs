//! `ngx.req.read_body`: the calling Lua thread waits until nginx has read the body.
//!
//! Several threads may wait for the one body. When the last of them is killed, nginx reads on, but
//! wakes nobody.

use std::rc::{Rc, Weak};

use codec::fallible::{Grow, OutOfMemory};

use crate::api::call::Call;
use crate::lua::{LuaError, LuaResult, Returns};
use crate::nginx::Request;
use crate::nginx::http::request_body::BodyRead;
use crate::nginx::http::{callback, request_body};
use crate::runtime::{Context, Operation, Task, client_watch, scheduler};

/// A thread that waits for the body; dropping it ends the wait.
struct BodyWait {
    context: Weak<Context>,
    task: Weak<Task>,
}

impl Operation for BodyWait {
    fn name(&self) -> &'static str {
        "the request body"
    }
}

impl Drop for BodyWait {
    fn drop(&mut self) {
        let Some(context) = self.context.upgrade() else { return };
        let mut readers = context.body.readers.borrow_mut();
        let before = readers.len();
        readers.retain(|reader| !reader.ptr_eq(&self.task));
        if readers.is_empty() && before > 0 {
            request_body::abandon(context.request());
        }
    }
}

pub fn read_body(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 0 {
        return Err(LuaError::text(format_args!("expecting 0 arguments but seen {n}")));
    }
    call.check()?;
    let context = call.context;
    if !context.body.readers.borrow().is_empty() {
        let task = call.task()?;
        wait(context, &task)?;
        return Ok(Returns::Yield(0));
    }
    if request_body::is_known(call.request) {
        return Ok(Returns::Values(0));
    }
    let task = match request_body::may_wait(call.request) {
        true => Some(call.task()?),
        false => None,
    };
    match request_body::read(call.request, callback::event(body_is_there)) {
        BodyRead::Done => {
            request_body::drop_reference(call.request);
            Ok(Returns::Values(0))
        }
        BodyRead::Waiting => {
            request_body::drop_reference(call.request);
            let task = task.map_or_else(|| call.running_task(), Ok)?;
            wait(context, &task)?;
            Ok(Returns::Yield(0))
        }
        BodyRead::Failed(rc) => {
            context.ending.exit(rc.0);
            Ok(Returns::Yield(0))
        }
    }
}

fn wait(context: &Rc<Context>, task: &Rc<Task>) -> Result<(), OutOfMemory> {
    context.body.readers.borrow_mut().try_push(Rc::downgrade(task))?;
    let waiting = BodyWait { context: Rc::downgrade(context), task: Rc::downgrade(task) };
    task.wait_for(Box::new(waiting));
    Ok(())
}

/// nginx calls this when it has read the body: the threads that wait for it go on.
fn body_is_there(request: Request) {
    scheduler::on_event(request, |context| {
        let readers = std::mem::take(&mut *context.body.readers.borrow_mut());
        if readers.is_empty() {
            return;
        }
        // nginx set a read event handler of its own while it read the body.
        client_watch::listen(context, context.location().check_client_abort());
        for reader in readers {
            if let Some(task) = reader.upgrade() {
                scheduler::wake(&task, 0);
            }
        }
    });
}

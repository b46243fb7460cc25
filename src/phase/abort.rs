//! A client that leaves while Lua code runs for it (`lua_check_client_abort on`).

use std::rc::Rc as Shared;

use crate::nginx::sys::ngx_http_request_t;
use crate::nginx::{Rc, Request, connection, guard};
use crate::runtime::{Context, Status, ends, scheduler};

/// nginx's read event of a request whose client is watched.
pub unsafe extern "C" fn client_event(r: *mut ngx_http_request_t) {
    guard((), || {
        // SAFETY: nginx passes a live request.
        let Some(request) = (unsafe { Request::from_ptr(r) }) else { return };
        if request.get().done() != 0 {
            return;
        }
        let rc = connection::check_client(request);
        if rc != Rc::OK {
            scheduler::on_event(request, |context| client_left(request, context, rc));
        }
    });
}

fn client_left(request: Request, context: &Shared<Context>, rc: Rc) {
    let on_abort = context.on_abort.borrow().clone();
    let Some(task) = on_abort else {
        connection::set_error(request);
        ends::cleanup(context);
        request.finalize(rc);
        return;
    };
    if task.status.get() != Status::Suspended {
        // The handler has run already.
        if !connection::stop_watching_client(request) {
            ends::cleanup(context);
            request.finalize(Rc::HTTP_INTERNAL_SERVER_ERROR);
        }
        return;
    }
    context.light_threads.set(context.light_threads.get() + 1);
    task.status.set(Status::Running);
    scheduler::listen_for_write(context);
    scheduler::wake(&task, 0);
}

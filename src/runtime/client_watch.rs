//! Watching for the client to close the connection while Lua code runs for it
//! (`lua_check_client_abort`).

use std::rc::Rc;

use super::context::Context;
use super::task::TaskStatus;
use super::{ends, scheduler};
use crate::nginx::http::callback;
use crate::nginx::http::callback::Event;
use crate::nginx::http::{client, client_socket};
use crate::nginx::{Request, Status};

/// nginx's read event of a request whose client is watched.
const CLIENT_EVENT: Event = callback::event(client_event);

/// Has this module watch for the client closing the connection, or has nginx ignore the client, as
/// `watch` says. False if nginx refuses.
pub fn listen(request: Request, watch: bool) -> bool {
    if watch {
        return client::watch_client(request, CLIENT_EVENT);
    }
    client::ignore_client(request);
    true
}

/// Whether this module watches for the client closing the connection.
pub fn is_watched(request: Request) -> bool {
    client_socket::has_read_handler(request, CLIENT_EVENT)
}

fn client_event(request: Request) {
    if request.get().done() != 0 {
        return;
    }
    let rc = client::check_client(request);
    if rc != Status::OK {
        scheduler::on_event(request, |context| client_left(request, context, rc));
    }
}

fn client_left(request: Request, context: &Rc<Context>, rc: Status) {
    let on_abort = context.tasks.on_abort.get();
    let Some(task) = on_abort else {
        client::set_error(request);
        ends::cleanup(context);
        request.finalize(rc);
        return;
    };
    if task.status.get() != TaskStatus::Suspended {
        // The handler has run already.
        if !client::stop_watching_client(request) {
            ends::cleanup(context);
            request.finalize(Status::HTTP_INTERNAL_SERVER_ERROR);
        }
        return;
    }
    context.tasks.light_threads.set(context.tasks.light_threads.get() + 1);
    task.status.set(TaskStatus::Running);
    scheduler::listen_for_write(context);
    scheduler::wake(&task, 0);
}

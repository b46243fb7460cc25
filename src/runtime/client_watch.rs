//! A client that leaves while Lua code runs for it: `lua_check_client_abort` says whether this
//! module watches for that; if not, the code goes on.

use std::rc::Rc;

use codec::fallible;

use super::context::Context;
use super::task::TaskStatus;
use super::{client_user, ends, scheduler};
use crate::config::LocationConf;
use crate::nginx::http::callback;
use crate::nginx::http::callback::Event;
use crate::nginx::http::{client, client_socket, departure};
use crate::nginx::{Request, Status};

/// The read event handler of a request whose client is watched.
const CLIENT_EVENT: Event = callback::event(client_event);
/// The read event handler of a request whose code goes on without its client.
const IGNORED_EVENT: Event = callback::event(ignored_event);

/// Has this module watch for the client leaving, or has nginx ignore the client, as `watch` says.
/// False if nginx refuses.
pub fn listen(context: &Rc<Context>, watch: bool) -> bool {
    let request = context.request();
    if request.is_http3() && !request.is_subrequest() {
        departure::survive_closing(request, connection_closed);
        scheduler::listen_for_write(context);
    }
    if watch {
        return departure::watch_client(request, CLIENT_EVENT);
    }
    ignore(request);
    true
}

/// Has nginx ignore the client.
pub fn ignore(request: Request) {
    departure::ignore_client(request, IGNORED_EVENT);
}

/// Whether this module watches for the client leaving.
pub fn is_watched(request: Request) -> bool {
    client_socket::has_read_handler(request, CLIENT_EVENT)
}

/// Lets subrequests see what happens to the client's connection.
///
/// The connection's events reach the main request only, and one that runs Lua code blocks them. A
/// subrequest to another server checks whether the client has closed the connection, unless its
/// location says otherwise (`proxy_ignore_client_abort` and similar directives): so the events are
/// passed on to it. A request that watches its client itself (`lua_check_client_abort`) keeps its
/// own handler.
pub fn pass_events_on(parent: Request) {
    let mut request = Some(parent);
    while let Some(r) = request {
        departure::replace_blocked_reading(r, IGNORED_EVENT);
        request = r.parent();
    }
}

/// In HTTP/3, a write event may say that the client does not want the response any more. Returns
/// whether it did.
pub fn is_told_by_write_event(request: Request) -> bool {
    let is_known = |context: Rc<Context>| context.captures.lifted_error.get();
    let told = !Context::of(request).is_some_and(is_known) && departure::notice(request);
    if told {
        departure::run_read_handler(request);
    }
    told
}

/// nginx has closed the connection of an HTTP/3 request. Returns false if nginx is to end the
/// request.
fn connection_closed(request: Request) -> bool {
    let ours = is_watched(request)
        || client_user::is_listening(request)
        || client_socket::has_read_handler(request, IGNORED_EVENT);
    if ours {
        departure::set_gone(request);
        departure::run_read_handler(request);
    }
    ours
}

fn ignored_event(request: Request) {
    departure::notice(request);
    let Some(context) = Context::of(request) else { return };
    // Without memory, they go on without noticing.
    let subrequests = fallible::copy(context.captures.requests.borrow().as_slice());
    let subrequests = subrequests.unwrap_or_default();
    for subrequest in subrequests {
        // Ending one subrequest may have ended all others.
        if context.is_released() {
            return;
        }
        if context.captures.requests.borrow().contains(&subrequest) {
            departure::run_read_handler(subrequest);
        }
    }
    end_flush(&context);
}

/// Has code go on that waits until a client which is gone has taken all output: for a stream of HTTP/2, nginx may only
/// run the read event handler.
fn end_flush(context: &Context) {
    let is_waiting = !context.is_released() && context.output.flushing.get() > 0;
    if is_waiting && client::is_broken(context.request()) {
        departure::run_write_handler(context.request());
    }
}

fn client_event(request: Request) {
    if request.get().done() != 0 {
        return;
    }
    let rc = departure::check_client(request, LocationConf::of(&request).abort_level());
    if rc != Status::OK {
        scheduler::on_event(request, |context| client_left(request, context, rc));
    }
}

fn client_left(request: Request, context: &Rc<Context>, rc: Status) {
    let on_abort = context.tasks.on_abort.get();
    let Some(task) = on_abort else {
        departure::set_gone(request);
        ends::cleanup(context);
        request.finalize(rc);
        return;
    };
    if task.status.get() != TaskStatus::Suspended {
        // The handler has run already.
        if !departure::stop_watching_client(request) {
            ends::cleanup(context);
            request.finalize(Status::HTTP_INTERNAL_SERVER_ERROR);
        }
        return;
    }
    context.tasks.light_threads.set(context.tasks.light_threads.get() + 1);
    task.status.set(TaskStatus::Running);
    scheduler::listen_for_write(context);
    scheduler::wake(&task, 0);
    end_flush(context);
}

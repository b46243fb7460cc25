//! The client's connection while a socket of the request (`ngx.req.socket`) has its events.

use std::rc::{Rc, Weak};

use super::context::Context;
use super::{client_watch, scheduler};
use crate::nginx::Request;
use crate::nginx::event::peer::Events;
use crate::nginx::event::stream::Stream;
use crate::nginx::http::callback::{self, Event};
use crate::nginx::http::{client, client_socket};
use crate::ngx_debug;

/// The read event handler of a request whose client's connection a socket uses.
const ON_READ: Event = callback::event(on_read);

/// The client's read events go to `user` from now on.
pub fn listen(context: &Context, user: Weak<dyn Events>) {
    *context.client_user.borrow_mut() = Some(user);
    client_socket::set_read_handler(context.request(), ON_READ);
}

/// Whether the client's read events go to a socket.
pub fn is_listening(request: Request) -> bool {
    client_socket::has_read_handler(request, ON_READ)
}

/// The client's write events go to `user` until [`scheduler::listen_for_write`].
pub fn listen_for_write(context: &Context, user: Weak<dyn Events>) {
    *context.client_user.borrow_mut() = Some(user);
    client::set_write_handler(context.request(), callback::event(on_write));
}

/// A request's context, and the socket that gets the events of its client's connection.
struct Downstream {
    context: Rc<Context>,
    stream: Stream,
    user: Option<Rc<dyn Events>>,
}

impl Downstream {
    fn of(request: Request) -> Option<Downstream> {
        let context = Context::of(request)?;
        let user = context.client_user.borrow().as_ref().and_then(Weak::upgrade);
        Some(Downstream { context, stream: client_socket::stream(request)?, user })
    }
}

fn on_read(request: Request) {
    let Some(downstream) = Downstream::of(request) else { return };
    ngx_debug!(request.log(), "lua request socket read event handler");
    match downstream.user {
        Some(user) => user.on_read(downstream.stream),
        None => client_watch::ignore(request),
    }
}

fn on_write(request: Request) {
    let Some(downstream) = Downstream::of(request) else { return };
    match downstream.user {
        Some(user) => user.on_write(downstream.stream),
        None => scheduler::listen_for_write(&downstream.context),
    }
}

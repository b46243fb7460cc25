//! `ngx.req.socket`: the client's connection, for its request body or for everything.

use std::rc::{Rc, Weak};

use super::handle;
use super::socket::{Socket, SocketKind};
use crate::api::call::Call;
use crate::lua::state::REGISTRY;
use crate::lua::{LuaError, LuaResult, Returns};
use crate::nginx::Request;
use crate::nginx::event::peer::Events;
use crate::nginx::event::stream::Direction;
use crate::nginx::http::callback::{self, Event};
use crate::nginx::http::{client, client_socket};
use crate::ngx_debug;
use crate::runtime::context::output::Stage;
use crate::runtime::{Context, client_watch, output, scheduler};

/// The registry's names of the metatables.
pub const BODY_METATABLE: &std::ffi::CStr = c"__tcp_req_cosocket_mt";
pub const RAW_METATABLE: &std::ffi::CStr = c"__tcp_raw_req_cosocket_mt";

/// The read event of a request whose client's connection a socket uses.
const ON_READ: Event = callback::event(on_read);

/// `ngx.req.socket(raw?)`.
pub fn req_socket(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n > 1 {
        return Err(LuaError::text(format_args!("expecting zero arguments, but got {n}")));
    }
    let raw = n == 1 && call.state.boolean(1);
    let request = call.request;
    if request.is_subrequest() {
        return Err(LuaError::text("attempt to read the request body in a subrequest"));
    }
    if request.is_multiplexed() {
        let version = request.http_version() / 1000;
        return Err(LuaError::text(format_args!("http v{version} not supported yet")));
    }
    if !raw && client_socket::is_chunked(request) {
        return call.fail("chunked request bodies not supported yet");
    }
    call.check()?;
    let refused = if raw { take_connection(call)? } else { take_body(call)? };
    match refused {
        Some(reason) => call.fail(reason),
        None => make(call, if raw { SocketKind::Raw } else { SocketKind::Body }),
    }
}

/// Takes the whole connection; or why not.
fn take_connection(call: &Call) -> Result<Option<&'static str>, LuaError> {
    let (request, context) = (call.request, call.context);
    output::release_held(context);
    if client_socket::body_rest(request) > 0 {
        return Ok(Some("pending request body reading in some other thread"));
    }
    if client_socket::has_output(request) {
        return Ok(Some("pending data to write"));
    }
    if context.output.buffering.get() {
        return Ok(Some("http 1.0 buffering"));
    }
    if context.output.stage.get() == Stage::Raw {
        return Ok(Some("duplicate call"));
    }
    if !client_socket::has_body_reader(request) {
        client_socket::take_body(request, 0)?;
    }
    context.output.header_sent.set(true);
    context.output.stage.set(Stage::Raw);
    client_socket::take_connection(request);
    Ok(None)
}

/// Takes the request body; or why not.
fn take_body(call: &Call) -> Result<Option<&'static str>, LuaError> {
    let request = call.request;
    if client_socket::has_body_reader(request) {
        return Ok(Some("request body already exists"));
    }
    if request.is_discarding_body() {
        return Ok(Some("request body discarded"));
    }
    let length = client_socket::content_length(request);
    if length <= 0 {
        return Ok(Some("no body"));
    }
    if !client_socket::answer_expectation(request) {
        return Ok(Some("test expect failed"));
    }
    client_socket::take_body(request, length)?;
    Ok(None)
}

fn make(call: &Call, kind: SocketKind) -> LuaResult {
    let socket = Socket::new(kind, call)?;
    let Some(stream) = client_socket::stream(call.request) else { return call.fail("closed") };
    socket.stream.set(Some(stream));
    if let Err(failure) = socket.hold_by(call.context) {
        return call.fail(&failure.message());
    }
    let events: Weak<dyn Events> = Rc::downgrade(&socket) as Weak<dyn Events>;
    *call.context.client_user.borrow_mut() = Some(events);
    stream.clear_timer(Direction::Read);
    if kind == SocketKind::Raw {
        stream.clear_timer(Direction::Write);
    }
    let mut state = call.state;
    state.new_table(2, 3);
    state.get_field(REGISTRY, if kind == SocketKind::Raw { RAW_METATABLE } else { BODY_METATABLE });
    state.set_metatable(-2);
    handle::attach(state, -1, socket);
    Ok(Returns::Values(1))
}

/// The client's read events go to the socket from now on, if it is the client's.
///
/// A socket for the body has nothing more to wait for once another one took the connection.
pub fn listen(socket: &Rc<Socket>, call: &Call) {
    let is_over = socket.kind == SocketKind::Body && call.context.output.stage.get() == Stage::Raw;
    if socket.is_downstream() && !is_over {
        let events: Weak<dyn Events> = Rc::downgrade(socket) as Weak<dyn Events>;
        *call.context.client_user.borrow_mut() = Some(events);
        client_socket::set_read_handler(call.request, ON_READ);
    }
}

/// Whether the client's read events, and their timer, are the socket's: nginx's own code may use them,
/// or the socket that took the connection over.
pub fn is_listening(socket: &Socket) -> bool {
    let is_user = |context: Rc<Context>| {
        let user = context.client_user.borrow();
        user.as_ref().is_some_and(|user| std::ptr::addr_eq(user.as_ptr(), socket))
    };
    client_socket::has_read_handler(socket.request.get(), ON_READ)
        && socket.context().is_some_and(is_user)
}

/// The client's read events, if they are the socket's, go back to whom the location says.
pub fn stop_listening(socket: &Socket) {
    if !is_listening(socket) {
        return;
    }
    if let Some(context) = socket.context() {
        client_watch::listen(&context, socket.conf.get().check_client_abort());
    }
}

/// The client's write events go to the socket until [`scheduler::listen_for_write`].
pub fn listen_for_write(socket: &Rc<Socket>, context: &Rc<Context>) {
    let events: Weak<dyn Events> = Rc::downgrade(socket) as Weak<dyn Events>;
    *context.client_user.borrow_mut() = Some(events);
    client::set_write_handler(socket.request.get(), callback::event(on_write));
}

/// The user of the connection of a request's client.
struct Downstream {
    context: Rc<Context>,
    user: Option<Rc<dyn Events>>,
}

impl Downstream {
    fn of(request: Request) -> Option<Downstream> {
        let context = Context::of(request)?;
        let user = context.client_user.borrow().as_ref().and_then(Weak::upgrade);
        Some(Downstream { context, user })
    }
}

fn on_read(request: Request) {
    let Some(downstream) = Downstream::of(request) else { return };
    ngx_debug!(request.log(), "lua request socket read event handler");
    match downstream.user {
        Some(user) => user.on_read(),
        None => client_watch::ignore(request),
    }
}

fn on_write(request: Request) {
    let Some(downstream) = Downstream::of(request) else { return };
    match downstream.user {
        Some(user) => user.on_write(),
        None => scheduler::listen_for_write(&downstream.context),
    }
}

//! `ngx.req.socket`: a socket on the client's connection, either for the request body, or raw.

use std::borrow::Cow;
use std::rc::{Rc, Weak};

use codec::fallible::NO_MEMORY;

use super::handle;
use super::socket::{Socket, SocketKind};
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::LocationConf;
use crate::lua::state::REGISTRY;
use crate::lua::{LuaError, LuaResult, Returns, resty_core};
use crate::nginx::event::peer::Events;
use crate::nginx::event::stream::Direction;
use crate::nginx::http::request_body::unbuffered;
use crate::nginx::http::{client_socket, filters};
use crate::runtime::context::response_state::Stage;
use crate::runtime::{Context, client_user, client_watch, output};

/// The registry's names of the metatables.
pub const BODY_METATABLE: &std::ffi::CStr = c"__tcp_req_cosocket_mt";
pub const RAW_METATABLE: &std::ffi::CStr = c"__tcp_raw_req_cosocket_mt";

/// `ngx.req.socket(raw?)`.
pub fn req_socket(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n > 1 {
        let wanted = resty_core::worded(10_026, "0 or 1 argument", "zero arguments");
        return Err(LuaError::text(format_args!("expecting {wanted}, but got {n}")));
    }
    let raw = n == 1 && call.state.boolean(1);
    let request = call.request;
    if request.is_subrequest() {
        return Err(LuaError::text("attempt to read the request body in a subrequest"));
    }
    if raw && request.is_multiplexed() {
        let version = request.http_version() / 1000;
        return Err(LuaError::text(format_args!("http v{version} not supported yet")));
    }
    call.check()?;
    let kind = match raw {
        true => SocketKind::Raw,
        // What comes over the connection is the body as it is.
        false if !request.is_multiplexed() && !client_socket::is_chunked(request) => {
            SocketKind::Body
        }
        false => SocketKind::Unbuffered,
    };
    let refused = if raw { take_connection(call)? } else { take_body(call, kind)? };
    match refused {
        Some(reason) => call.fail_with(format_args!("{reason}")),
        None => make(call, kind),
    }
}

/// Takes the whole connection over from nginx, for a raw socket; the reason if that is impossible.
fn take_connection(call: &Call) -> Result<Option<Cow<'static, str>>, LuaError> {
    let (request, context) = (call.request, call.context);
    output::release_held(context);
    if client_socket::body_rest(request) > 0 {
        return Ok(Some("pending request body reading in some other thread".into()));
    }
    if client_socket::has_output(request) || filters::waits(request) {
        return Ok(Some("pending data to write".into()));
    }
    if context.output.buffering.get() {
        return Ok(Some("http 1.0 buffering".into()));
    }
    if context.output.stage.get() == Stage::Raw {
        return Ok(Some("duplicate call".into()));
    }
    if !client_socket::has_body_reader(request) {
        client_socket::take_body(request, 0)?;
    }
    context.output.header_sent.set(true);
    context.output.stage.set(Stage::Raw);
    client_socket::take_connection(request);
    Ok(None)
}

/// Takes reading the request body over from nginx; the reason if that is impossible.
fn take_body(call: &Call, kind: SocketKind) -> Result<Option<Cow<'static, str>>, LuaError> {
    let request = call.request;
    if client_socket::has_body_reader(request) {
        return Ok(Some("request body already exists".into()));
    }
    if request.is_discarding_body() || unbuffered::is_skipped(request) {
        return Ok(Some("request body discarded".into()));
    }
    let length = client_socket::content_length(request);
    if length <= 0 && !client_socket::is_chunked(request) {
        return Ok(Some("no body".into()));
    }
    if kind == SocketKind::Unbuffered {
        let failed = unbuffered::start(request).err();
        return Ok(failed.map(|rc| SocketFailure::of_body(rc).message()));
    }
    if !client_socket::answer_expectation(request) {
        return Ok(Some("test expect failed".into()));
    }
    client_socket::take_body(request, length)?;
    Ok(None)
}

/// Pushes a new socket for what was taken over.
fn make(call: &Call, kind: SocketKind) -> LuaResult {
    let socket = Socket::new(kind, call)?;
    let Some(stream) = client_socket::stream(call.request) else { return call.fail("closed") };
    socket.stream.set(Some(stream));
    if let Err(failure) = socket.hold_by(call.context) {
        return call.fail(&failure.message());
    }
    *call.context.client_user.borrow_mut() = Some(user(&socket));
    stream.timer(Direction::Read).clear();
    if kind == SocketKind::Unbuffered && !socket.take_unbuffered() {
        return call.fail(NO_MEMORY);
    }
    if kind == SocketKind::Raw {
        stream.timer(Direction::Write).clear();
    }
    let mut state = call.state;
    state.new_table(2, 3);
    state.get_field(REGISTRY, if kind == SocketKind::Raw { RAW_METATABLE } else { BODY_METATABLE });
    state.set_metatable(-2);
    handle::attach(state, state.table_at(-1), socket);
    Ok(Returns::Values(1))
}

/// Has the client's read events go to the socket, if it is one of `ngx.req.socket`.
///
/// Not if it is for the body and the running request has a raw socket by now: that one has the
/// connection then.
pub fn listen(socket: &Rc<Socket>, call: &Call) {
    let is_over = socket.reads_body() && call.context.output.stage.get() == Stage::Raw;
    if socket.is_downstream() && !is_over {
        client_user::listen(call.context, user(socket));
    }
}

fn user(socket: &Rc<Socket>) -> Weak<dyn Events> {
    Rc::downgrade(socket) as Weak<dyn Events>
}

/// Whether the client's read events, and their timer, are the socket's. Otherwise nginx itself may
/// use them, or a raw socket that has taken the connection over.
pub fn is_listening(socket: &Socket) -> bool {
    let is_user = |context: Rc<Context>| {
        let user = context.client_user.borrow();
        user.as_ref().is_some_and(|user| std::ptr::addr_eq(user.as_ptr(), socket))
    };
    client_user::is_listening(socket.request.get()) && socket.context().is_some_and(is_user)
}

/// If the client's read events are the socket's, has them go to what the location's
/// `lua_check_client_abort` asks for.
pub fn stop_listening(socket: &Socket) {
    if !is_listening(socket) {
        return;
    }
    if let Some(context) = socket.context()
        && !context.is_released()
    {
        client_watch::listen(&context, LocationConf::of(&socket.conf.get()).check_client_abort());
    }
}

/// The client's write events go to the socket until [`scheduler::listen_for_write`].
///
/// [`scheduler::listen_for_write`]: crate::runtime::scheduler::listen_for_write
pub fn listen_for_write(socket: &Rc<Socket>, context: &Rc<Context>) {
    client_user::listen_for_write(context, user(socket));
}

//! The Lua functions that end a request.

use std::borrow::Cow;

use codec::fallible::{self, Grow};
use codec::uri::escape_controls;

use crate::api::arguments;
use crate::api::call::{Call, ObjectRow, Row, set_functions};
use crate::api::coroutine;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::http::redirect::UriError;
use crate::nginx::http::{headers_out, redirect};
use crate::runtime::PhaseSet;
use crate::runtime::context::End;

const REQUEST: u32 = PhaseSet::REQUEST.0;
/// Where a client may leave, and a light thread be made.
const ON_ABORT: u32 = PhaseSet::OF_CLIENTS.0 & PhaseSet::YIELDABLE.0;

const FUNCTIONS: &[Row] = &[
    ObjectRow::late::<REQUEST, _>(c"exec", exec),
    ObjectRow::late::<REQUEST, _>(c"redirect", redirect),
    Row::late::<ON_ABORT, _>(c"on_abort", on_abort),
    Row::anywhere(c"_phase_ctx", phase_bits),
];

/// Puts the functions into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, FUNCTIONS);
}

/// Raises while captured subrequests are under way, which cannot be cancelled.
fn check_abortable(call: &Call) -> Result<(), LuaError> {
    if call.context.ending.no_abort.get() {
        return Err(LuaError::text("attempt to abort with pending subrequests"));
    }
    Ok(())
}

/// The running phase as a bit, for lua-resty-core; nil if code runs for no request.
fn phase_bits(state: State) -> LuaResult {
    match Call::with(state, PhaseSet::ALL, |call| Ok(call.context.phase.get())) {
        Ok(phase) => state.push_integer(phase.bit().into()),
        Err(_) => state.push_nil(),
    }
    Ok(Returns::Values(1))
}

fn exec(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!("expecting one or two arguments, but got {n}")));
    }
    let state = call.state;
    let uri = state.check_bytes(1)?;
    if uri.is_empty() {
        return Err(LuaError::text("The uri argument is empty"));
    }
    call.check()?;
    check_abortable(call)?;
    let parsed = redirect::parse_unsafe_uri(call.request, uri);
    let (uri, args) = parsed.map_err(|error| match error {
        UriError::Unsafe => LuaError::text("unsafe uri"),
        UriError::OutOfMemory => LuaError::text(fallible::NO_MEMORY),
    })?;
    let (uri, mut args) = (fallible::copy(uri.bytes())?, fallible::copy(args.bytes())?);
    let user_args = match state.kind(2) {
        Kind::Number | Kind::String => fallible::copy(state.check_bytes(2)?)?,
        Kind::Table => arguments::encode(state, 2)?,
        Kind::Nil | Kind::None => Vec::new(),
        kind => {
            return Err(LuaError::argument(
                2,
                format_args!("string, number, or table expected, but got {}", kind.name()),
            ));
        }
    };
    if !args.is_empty() && !user_args.is_empty() {
        args.try_push(b'&')?;
    }
    args.try_append(&user_args)?;
    if call.context.is_header_sent() {
        return Err(LuaError::text("attempt to call ngx.exec after sending out response headers"));
    }
    if let Cow::Owned(escaped) = escape_controls(&args)? {
        args = escaped;
    }
    call.context.ending.end.replace(Some(End::Exec { uri, args }));
    Ok(Returns::Yield(0))
}

fn redirect(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 && n != 2 {
        return Err(LuaError::text("expecting one or two arguments"));
    }
    let state = call.state;
    let uri = state.check_bytes(1)?;
    let status = if n == 2 { state.check_integer(2)? } else { 302 };
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err(LuaError::text(
            "only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, \
             ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and \
             ngx.HTTP_TEMPORARY_REDIRECT are allowed",
        ));
    }
    call.check()?;
    check_abortable(call)?;
    if call.context.is_header_sent() {
        return Err(LuaError::text("attempt to call ngx.redirect after sending out the headers"));
    }
    if let Err(found) = codec::uri::check_unsafe_bytes(uri) {
        return Err(LuaError::text(format_args!("{}", found.in_redirect_uri())));
    }
    headers_out::add_location(call.request, uri)?;
    call.request.set_status(status as usize);
    call.context.ending.exit(status as isize);
    Ok(Returns::Yield(0))
}

fn on_abort(call: &Call) -> LuaResult {
    call.check_phase(PhaseSet::OF_CLIENTS)?;
    if !call.context.tasks.on_abort.is_empty() {
        return call.fail("duplicate call");
    }
    if !call.context.location().check_client_abort() {
        return call.fail("lua_check_client_abort is off");
    }
    coroutine::check_function(call)?;
    let parent = call.running_task()?;
    let task = coroutine::make_thread(call)?;
    task.set_parent(&parent);
    call.context.tasks.on_abort.set(Some(task));
    call.succeed()
}

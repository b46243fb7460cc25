//! The Lua functions `ngx.location.capture` and `ngx.location.capture_multi`.

use std::cell::Cell;
use std::rc::Rc;

use codec::fallible::{self, Grow, OutOfMemory};
use smallvec::SmallVec;

use super::options::{self, Pair, Query};
use super::response::ROOM;
use super::{Batch, Captured, Place, response};
use crate::api::call::{Call, ObjectRow, Row, set_functions_in};
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::core::allocator;
use crate::nginx::core::log::Shown;
use crate::nginx::http::headers_in;
use crate::nginx::http::request_line;
use crate::nginx::http::subrequest;
use crate::nginx::http::subrequest::Body;
use crate::nginx::http::variable;
use crate::nginx::http::variable::{Name, SetError};
use crate::nginx::{HeaderError, Level, Request};
use crate::ngx_debug;
use crate::ngx_log;
use crate::runtime::{Context, Phase, PhaseSet, client_watch};

const PHASES: u32 = PhaseSet::REQUEST.without(Phase::ServerRewrite).with(Phase::HeaderFilter).0;

const FUNCTIONS: &[Row] = &[
    ObjectRow::late::<PHASES, _>(c"capture", capture),
    ObjectRow::late::<PHASES, _>(c"capture_multi", capture_multi),
];

/// Puts `ngx.location` into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"location", FUNCTIONS);
    response::inject(state);
}

/// `capture(uri, options)` is `capture_multi({ { uri, options } })`.
fn capture(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 && n != 2 {
        return Err(LuaError::text("expecting one or two arguments"));
    }
    call.check()?;
    let options = (n == 2 && !call.state.is_nil_or_none(2)).then_some(2);
    let query = options::read(call.state, call.request, 0, 1, options)?;
    start(call, &[query])
}

/// `capture_multi({ { uri, options }, … })`.
fn capture_multi(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format_args!("only one argument is expected, but got {n}")));
    }
    let state = call.state;
    state.check_kind(1, Kind::Table, c"table")?;
    let count = state.raw_len(1);
    if count == 0 {
        return Err(LuaError::text("at least one subrequest should be specified"));
    }
    call.check()?;
    // For the responses: once there are subrequests, it would be too late.
    state.reserve(i32::try_from(count).unwrap_or(i32::MAX).saturating_add(ROOM))?;
    let mut queries = Vec::new();
    for index in 0..count {
        queries.try_push(read_query(call, index)?)?;
    }
    start(call, &queries)
}

/// Reads item `index` (from 0) of the list in argument 1; its `ctx` table stays on the stack.
fn read_query(call: &Call, index: usize) -> Result<Query, LuaError> {
    let mut state = call.state;
    state.reserve(4)?;
    state.raw_get_index(1, index as i32 + 1);
    let item = state.top();
    match state.kind(item) {
        Kind::Table => {}
        Kind::Nil => return Err(LuaError::text("only array-like tables are allowed")),
        kind => {
            return Err(LuaError::text(format_args!(
                "the query argument {index} is not a table, but a {}",
                kind.name()
            )));
        }
    }
    let length = state.raw_len(item);
    if length != 1 && length != 2 {
        return Err(LuaError::text(format_args!(
            "query argument {index} expecting one or two arguments"
        )));
    }
    state.raw_get_index(item, 1);
    let options = (length == 2).then(|| {
        state.raw_get_index(item, 2);
        item + 2
    });
    let mut query = options::read(state, call.request, index, item + 1, options)?;
    match &mut query.options.ctx {
        Some(ctx) => {
            state.replace(item);
            *ctx = item;
            state.set_top(item);
        }
        None => state.set_top(item - 1),
    }
    Ok(query)
}

/// The subrequests of a batch that have been posted to nginx. Those that are left here are cancelled, also when a
/// Lua error ends the call.
#[derive(Default)]
struct Made(SmallVec<[Request; 4]>);

impl Drop for Made {
    fn drop(&mut self) {
        for request in &self.0 {
            subrequest::cancel(*request);
        }
    }
}

/// Makes the subrequests, or none of them if one fails, and waits for them.
fn start(call: &Call, queries: &[Query]) -> LuaResult {
    let task = call.task()?;
    let context = call.context;
    ngx_debug!(
        call.request.log(),
        "lua location capture, uri:\"{}\" c:{}",
        Shown(call.request.uri()),
        call.request.references()
    );
    allocator::check()?;
    let mut captured = SmallVec::new();
    for _ in queries {
        captured.try_push(Captured::default())?;
    }
    let batch =
        Rc::new(Batch { task: Rc::downgrade(&task), pending: Cell::new(queries.len()), captured });
    let room = context.captures.requests.borrow_mut().try_reserve(queries.len());
    room.map_err(OutOfMemory::from)?;
    let mut made = Made::default();
    for (index, query) in queries.iter().enumerate() {
        make(call, &batch, index, query, &mut made)?;
    }
    #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
    context.captures.requests.borrow_mut().extend(std::mem::take(&mut made.0));
    client_watch::pass_events_on(call.request);
    context.captures.batches.set(context.captures.batches.get() + 1);
    context.ending.no_abort.set(true);
    task.wait_for_shared(batch);
    Ok(Returns::Yield(0))
}

/// Makes one subrequest; it is in `made` as soon as it has been posted to nginx, even if this fails
/// then.
fn make(
    call: &Call,
    batch: &Rc<Batch>,
    index: usize,
    query: &Query,
    made: &mut Made,
) -> Result<(), LuaError> {
    let parent = call.request;
    let place = Place { batch: batch.clone(), index };
    let request = subrequest::create(parent, query.uri, query.args, place)
        .map_err(|_| LuaError::text("failed to issue subrequest: -1"))?;
    if made.0.try_push(request).is_err() {
        subrequest::cancel(request);
        return Err(LuaError::text(fallible::NO_MEMORY));
    }
    let options = &query.options;
    let body = match &options.body {
        Some(body) => Body::Given(body),
        None if options.forwards_body(parent) => Body::Forwarded,
        None => Body::None,
    };
    subrequest::set_body_and_headers(request, body)?;
    set_headers(request, &options.headers)?;
    if !u32::try_from(options.method).is_ok_and(|number| request_line::set_method(request, number))
    {
        ngx_log!(request.log(), Level::Err, "unsupported HTTP method: {}", options.method);
        return Err(adjust_failed());
    }
    subrequest::set_variables(request, options.variables)?;
    for (name, value) in &options.vars {
        set_variable(request, name, value)?;
    }
    give_context(call, request, options.ctx)
}

/// Sets request headers of the subrequest, except those that frame its body: these are set already.
fn set_headers(request: Request, headers: &[Pair]) -> Result<(), LuaError> {
    for (name, value) in headers {
        let frames_body = [&b"content-length"[..], b"transfer-encoding"]
            .iter()
            .any(|framing| name.eq_ignore_ascii_case(framing));
        if frames_body {
            continue;
        }
        headers_in::set(request, name, &[value], true).map_err(|error| match error {
            HeaderError::OutOfMemory => LuaError::text(fallible::NO_MEMORY),
            HeaderError::BadValue => {
                let pieces: [&[u8]; 3] = [b"bad value of request header \"", name, b"\""];
                request.log().write_pieces(Level::Err, &pieces);
                adjust_failed()
            }
        })?;
    }
    Ok(())
}

/// Sets a variable of the subrequest; the reason for a failure is logged.
fn set_variable(request: Request, name: &[u8], value: &[u8]) -> Result<(), LuaError> {
    let mut lower = fallible::copy(name)?;
    let result = variable::set(request, &mut Name::in_place(&mut lower), Some(value));
    let Err(error) = result else { return Ok(()) };
    let begin: &[u8] = b"variable \"";
    let log = request.log();
    match error {
        SetError::NotChangeable => {
            log.write_pieces(Level::Err, &[begin, &lower, b"\" not changeable"]);
        }
        SetError::CannotBeAssigned | SetError::NotFound => {
            let end = b"\" cannot be assigned a value (maybe you forgot to define it first?) ";
            log.write_pieces(Level::Err, &[begin, &lower, end]);
        }
        error => log.write(Level::Err, &error.message(&lower)),
    }
    let code = if matches!(error, SetError::NotChangeable) { 500 } else { -1 };
    Err(LuaError::text(format_args!("failed to adjust the subrequest: {code}")))
}

/// The error if the subrequest could not be given its method or headers; why is in the log.
fn adjust_failed() -> LuaError {
    LuaError::text("failed to adjust the subrequest: -1")
}

/// Gives the subrequest a context at once if it has an `ngx.ctx`, or if its parent has a VM of its
/// own (`lua_code_cache off`), which it is to use too.
fn give_context(call: &Call, request: Request, ctx: Option<i32>) -> Result<(), LuaError> {
    let vm = call.context.vm();
    if ctx.is_none() && vm.caches_code() {
        return Ok(());
    }
    let context = Context::new(request, vm.clone(), Phase::Content);
    context.attach()?;
    if let Some(table) = ctx {
        context.ctx_ref.set(crate::runtime::ctx::keep(call.state, table));
    }
    Ok(())
}

//! The Lua functions `ngx.location.capture` and `ngx.location.capture_multi`.

use std::cell::Cell;
use std::rc::Rc as Shared;

use super::ffi::post_subrequest;
use super::options::{self, Query};
use super::{Batch, Capture, Captured, Place};
use crate::api::call::{Call, Row, set_functions_in};
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::log::Shown;
use crate::nginx::subrequest::{self, Body};
use crate::nginx::variable::{self, Name, SetError};
use crate::nginx::{Level, Request};
use crate::ngx_debug;
use crate::runtime::{Context, Phase, PhaseSet};

const PHASES: u32 = PhaseSet::of(&[Phase::Rewrite, Phase::Access, Phase::Content]).0;

const FUNCTIONS: &[Row] = &[
    Row::in_phases::<PHASES, _>(c"capture", capture),
    Row::in_phases::<PHASES, _>(c"capture_multi", capture_multi),
];

/// Puts `ngx.location` into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions_in(state, c"location", FUNCTIONS);
}

/// `capture(uri, options)` is `capture_multi({ { uri, options } })`.
fn capture(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 && n != 2 {
        return Err(LuaError::text("expecting one or two arguments"));
    }
    let state = call.state;
    state.new_table(n, 0);
    state.insert(1);
    for position in (1..=n).rev() {
        state.raw_set_index(1, position);
    }
    let query = options::read(state, call.request, 0)?;
    start(call, vec![query])
}

fn capture_multi(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format!("only one argument is expected, but got {n}")));
    }
    let state = call.state;
    state.check_kind(1, Kind::Table, c"table")?;
    let count = state.raw_len(1);
    if count == 0 {
        return Err(LuaError::text("at least one subrequest should be specified"));
    }
    let mut queries = Vec::with_capacity(count);
    for index in 0..count {
        state.reserve(4)?;
        state.raw_get_index(1, index as i32 + 1);
        let query = options::read(state, call.request, index)?;
        if query.ctx.is_none() {
            state.pop(1);
        }
        queries.push(query);
    }
    start(call, queries)
}

/// Makes the subrequests, all or none, and waits for them.
fn start(call: &Call, queries: Vec<Query>) -> LuaResult {
    let task = call.task()?;
    let context = &call.context;
    ngx_debug!(
        call.request.log(),
        "lua location capture, uri:\"{}\" c:{}",
        Shown(call.request.uri()),
        call.request.references()
    );
    let batch = Shared::new(Batch {
        task: Shared::downgrade(task),
        pending: Cell::new(queries.len()),
        captured: queries.iter().map(|_| Captured::default()).collect(),
    });
    let mut made = Vec::with_capacity(queries.len());
    for (index, query) in queries.iter().enumerate() {
        let result = make(call, &batch, index, query, &mut made);
        if let Err(error) = result {
            for request in made {
                subrequest::cancel(request);
            }
            return Err(error);
        }
    }
    context.subrequests.borrow_mut().extend(made);
    super::ffi::pass_client_events_on(call.request);
    context.pending_captures.set(context.pending_captures.get() + 1);
    context.no_abort.set(true);
    task.wait_for(Box::new(Capture { _batch: batch }));
    Ok(Returns::Yield(0))
}

/// Makes one subrequest; it is in `made` as soon as nginx knows of it.
fn make(
    call: &Call,
    batch: &Shared<Batch>,
    index: usize,
    query: &Query,
    made: &mut Vec<Request>,
) -> Result<(), LuaError> {
    let parent = call.request;
    let place = parent.pool().own(Place { batch: batch.clone(), index })?;
    let data = place.as_ptr().cast();
    let request = subrequest::create(parent, &query.uri, &query.args, post_subrequest, data)
        .map_err(|_| LuaError::text("failed to issue subrequest: -1"))?;
    made.push(request);
    let body = match &query.body {
        Some(body) => Body::Given(body),
        None if query.forwards_body(parent) => Body::Forwarded,
        None => Body::None,
    };
    subrequest::set_body_and_headers(request, body)?;
    if !subrequest::set_method(request, query.method) {
        return Err(adjust_failed());
    }
    subrequest::set_variables(request, query.variables)?;
    for (name, value) in &query.vars {
        set_variable(request, name, value)?;
    }
    give_context(call, request, query)
}

/// Sets a variable of the subrequest; the reason of a failure is logged.
fn set_variable(request: Request, name: &[u8], value: &[u8]) -> Result<(), LuaError> {
    let mut lower = name.to_vec();
    let result = variable::set(request, &mut Name::in_place(&mut lower), Some(value));
    let Err(error) = result else { return Ok(()) };
    let text = match error {
        SetError::NotChangeable => {
            [b"variable \"".as_slice(), &lower, b"\" not changeable"].concat()
        }
        SetError::CannotBeAssigned | SetError::NotFound => [
            b"variable \"".as_slice(),
            &lower,
            b"\" cannot be assigned a value (maybe you forgot to define it first?) ",
        ]
        .concat(),
        error => error.message(&lower),
    };
    request.log().write(Level::Err, &text);
    let code = if matches!(error, SetError::NotChangeable) { 500 } else { -1 };
    Err(LuaError::text(format!("failed to adjust the subrequest: {code}")))
}

fn adjust_failed() -> LuaError {
    LuaError::text("failed to adjust the subrequest: -1")
}

/// The subrequest gets a context at once where it has an `ngx.ctx`, or its parent a VM of its own.
fn give_context(call: &Call, request: Request, query: &Query) -> Result<(), LuaError> {
    let vm = call.context.vm();
    if query.ctx.is_none() && vm.caches_code() {
        return Ok(());
    }
    let context = Context::new(request, vm.clone(), Phase::Content, false);
    context.attach()?;
    if let Some(table) = query.ctx {
        context.ctx_ref.set(crate::api::ctx::keep(call.state, table));
    }
    Ok(())
}

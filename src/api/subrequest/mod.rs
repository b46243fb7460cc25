//! `ngx.location.capture` and `ngx.location.capture_multi`: subrequests whose responses become
//! Lua tables.
//!
//! The subrequests of one call are a [`Batch`]. The data that nginx keeps with a subrequest says
//! its place in the batch: a module context would not do, because nginx clears those. The batch
//! refers to its task weakly: a dead task is not woken.

mod body;
mod lua;
mod options;
mod response;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use smallvec::SmallVec;

use self::body::Body;
pub use self::lua::inject;

use crate::nginx::core::chain::{CopiedChain, GrowingChain};
use crate::nginx::core::log::Shown;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::{
    client as connection, departure, filters, framing, nested, send as wire, subrequest,
};
use crate::nginx::{Chain, Level, Request, Status};
use crate::ngx_debug;
use crate::runtime::filter::{self, Waiting};
use crate::runtime::{Context, Operation, Phase, Task, output, scheduler};

/// The subrequests of one call.
pub struct Batch {
    /// The task that waits for the responses.
    task: Weak<Task>,
    /// How many subrequests have not finished.
    pending: Cell<usize>,
    captured: SmallVec<[Captured; 1]>,
}

impl Batch {
    /// The task's context, unless the task has ended.
    fn context(&self) -> Option<Rc<Context>> {
        self.task.upgrade()?.context()
    }
}

/// The response of one subrequest.
#[derive(Default)]
pub struct Captured {
    /// The subrequest, once it has finished: its headers are read from it.
    request: Cell<Option<Request>>,
    status: Cell<isize>,
    /// What has come of the body, in buffers that the parent uses again for its own output.
    pieces: RefCell<Body>,
    /// The whole of the body, once the subrequest has finished.
    body: Cell<Chain>,
    /// Whether the last buffer has come, so that the body is complete.
    complete: Cell<bool>,
    /// Its status, if it is done but waits for subrequests that other modules have made of it, or
    /// for a filter's code.
    ended: Cell<Option<Status>>,
    /// Whether nginx has finished the subrequest and [`finish`] has dealt with that.
    finished: Cell<bool>,
}

/// A subrequest's place in its batch; it lives in the request's pool.
pub struct Place {
    batch: Rc<Batch>,
    index: usize,
}

impl Place {
    fn captured(&self) -> Option<&Captured> {
        self.batch.captured.get(self.index)
    }
}

/// The task waits for the whole batch, and cannot be killed meanwhile: nginx's subrequests cannot
/// be cancelled once they run.
impl Operation for Batch {
    fn name(&self) -> &'static str {
        "ngx.location.capture"
    }

    fn can_cancel(&self) -> bool {
        false
    }
}

const HTTP_OK: isize = 200;
const HTTP_CREATED: isize = 201;
const HTTP_NO_CONTENT: isize = 204;
const HTTP_SPECIAL_RESPONSE: isize = 300;
const HTTP_REQUEST_TIME_OUT: isize = 408;
const HTTP_CLOSE: isize = 444;
const HTTP_CLIENT_CLOSED_REQUEST: isize = 499;
const METHOD_HEAD: usize = 0x4;

/// The header filter for a captured subrequest, or one that belongs to it: sends nothing, and has
/// the body come in memory.
pub fn capture_header(request: Request) -> Status {
    ngx_debug!(request.log(), "lua capturing response body");
    if !is_root(request) && nested::end_when_done::<Place>(request).is_err() {
        return Status::ERROR;
    }
    filters::need_in_memory(request);
    wire::set_header_sent(request);
    if let Some(context) = Context::of(request) {
        context.output.header_sent.set(true);
    }
    if request.method() == METHOD_HEAD {
        wire::set_header_only(request);
    }
    Status::OK
}

/// The body filter for a captured subrequest, or one that belongs to it: keeps the output.
pub fn capture_body(request: Request, chain: Chain) -> Status {
    let Some((root, place)) = nested::captured_root::<Place>(&request) else {
        return Status::ERROR;
    };
    let Some(captured) = place.captured() else { return Status::ERROR };
    if captured.finished.get() {
        return Status::OK;
    }
    ngx_debug!(
        request.log(),
        "lua capture body filter capturing response body, uri \"{}\"",
        Shown(request.uri())
    );
    let Some(context) = place.batch.context() else { return Status::OK };
    let own = Context::of(request);
    let mut body = GrowingChain::EMPTY;
    for mut buf in chain.bufs() {
        if !buf.memory().is_empty() {
            let maker = own.as_ref().and_then(|own| filter::maker(own, buf));
            let Ok(link) = context.response.take_bytes(buf, maker, wire::tag()) else {
                request.log().write(Level::Err, b"no memory for the body of a captured response");
                return Status::ERROR;
            };
            body.append(link);
        }
        if buf.is_last() && request == root {
            captured.complete.set(true);
        }
        buf.consume();
    }
    match captured.pieces.borrow_mut().append(root, request, body.whole()) {
        Ok(()) => Status::OK,
        Err(_) => Status::ERROR,
    }
}

/// A filter's code starts to wait. If `request` is a captured subrequest or belongs to one, its
/// output that is kept meanwhile gets a place in the captured body.
pub fn begin_keeping(request: Request) -> Result<(), OutOfMemory> {
    let Some((root, captured)) = captured_of(&request) else { return Ok(()) };
    captured.pieces.borrow_mut().begin_keeping(root, request)
}

/// Keeps `output` of a captured subrequest, or of one that belongs to it, while a filter's code
/// waits.
pub fn keep(request: Request, output: Chain) -> Result<(), OutOfMemory> {
    let Some((root, captured)) = captured_of(&request) else { return Ok(()) };
    let keep = |kept: &mut CopiedChain| kept.keep(request.pool(), output);
    captured.pieces.borrow_mut().keep(root, request, keep)
}

/// Whether the captured body has anything behind the first place where output of `request` is kept.
pub fn has_more(request: Request) -> bool {
    captured_of(&request)
        .is_some_and(|(root, captured)| captured.pieces.borrow_mut().has_more(root, request))
}

/// The next piece of what is kept of a captured subrequest, which now passes the filters.
pub fn next_kept(request: Request) -> Option<CopiedChain> {
    let (_, captured) = captured_of(&request)?;
    captured.pieces.borrow_mut().next_kept(request)
}

/// The captured subrequest that `request` is or belongs to, and its response so far.
fn captured_of(request: &Request) -> Option<(Request, &Captured)> {
    let (root, place) = nested::captured_root::<Place>(request)?;
    Some((root, place.captured()?))
}

/// Whether it is a subrequest that this module made, or belongs to one.
#[inline]
pub fn is_captured(request: Request) -> bool {
    nested::captured_root::<Place>(&request).is_some()
}

/// Whether it is a subrequest that this module made.
fn is_root(request: Request) -> bool {
    subrequest::data_of::<Place>(&request).is_some()
}

/// Whether the header of `request` is captured.
#[inline(always)]
pub fn captures_header(request: Request) -> bool {
    ngx_debug!(request.log(), "lua capture header filter, uri \"{}\"", Shown(request.uri()));
    is_captured(request)
}

/// Whether the body of `request` is captured.
#[inline(always)]
pub fn captures_body(request: Request) -> bool {
    ngx_debug!(request.log(), "lua capture body filter, uri \"{}\"", Shown(request.uri()));
    is_captured(request)
}

impl subrequest::SubrequestData for Place {
    fn finished(&self, request: Request, rc: Status) -> Status {
        finish(self, request, rc)
    }

    fn waits(&self) -> bool {
        self.captured().is_some_and(|captured| captured.ended.get().is_some())
    }
}

/// nginx has finished a subrequest: its parent continues once the whole batch has finished.
fn finish(place: &Place, request: Request, rc: Status) -> Status {
    ngx_debug!(
        request.log(),
        "lua run post subrequest handler, rc:{} c:{}",
        rc.0,
        request.references()
    );
    let Some(captured) = place.captured() else { return Status::ERROR };
    let own = Context::of(request);
    if let Some(context) = &own {
        output::mend_connection(context);
    }
    if captured.finished.get() {
        subrequest::let_end(request);
        return Status::OK;
    }
    nested::drop_done(request);
    let has_failed = own.as_ref().is_some_and(|context| filter_has_failed(context));
    let rc = if has_failed && !drops_connection(rc) { Status::ERROR } else { rc };
    let waits = subrequest::has_postponed(request) || filters::waits(request);
    if waits && !drops_connection(rc) {
        let ended = captured.ended.get().unwrap_or(rc);
        captured.ended.set(Some(ended));
        return Status::OK;
    }
    let rc = end_of_wait(captured, request).unwrap_or(rc);
    captured.finished.set(true);
    captured.body.set(captured.pieces.borrow_mut().take());
    captured.request.set(Some(request));
    if let Some(context) = place.batch.context() {
        context.captures.requests.borrow_mut().retain(|other| *other != request);
    }
    if rc.0 == HTTP_CLIENT_CLOSED_REQUEST {
        // The parent ends too, whatever it has sent: its status in the access log shall say why.
        wire::set_error_status(request.main(), rc);
    }
    captured.status.set(status_of(request, rc));
    let Some(parent) = request.parent() else { return Status::ERROR };
    let batch = &place.batch;
    if let Some(context) = &own {
        set_default_type(context);
    }
    // The header goes through its filters before the parent looks at it.
    let rc = code_for_nginx(batch, request, own, rc);
    batch.pending.set(batch.pending.get().saturating_sub(1));
    if batch.pending.get() == 0 {
        resume(batch);
    }
    if subrequest::post_to_head(parent).is_err() {
        return Status::ERROR;
    }
    subrequest::let_end(request);
    // When a subrequest ends and the connection is marked as broken, nginx ends the whole request.
    // But whether the parent goes on without its client is decided by `lua_check_client_abort`.
    if let Some(context) = batch.context().filter(|_| departure::lift_error(request)) {
        context.captures.lifted_error.set(true);
    }
    rc
}

/// The status of a subrequest that was done before, and has waited since.
fn end_of_wait(captured: &Captured, request: Request) -> Option<Status> {
    let ended = captured.ended.take()?;
    if !connection::has_buffered_output(request) {
        // The timer that nginx has set for the wait.
        connection::stop_send_timer(request);
    }
    Some(ended)
}

/// Whether code of a filter has failed after a wait, so that nothing more comes of the response: nginx need not wait for
/// output that would be told so.
fn filter_has_failed(context: &Context) -> bool {
    let request = context.request();
    let has_failed = filters::waits(request) && context.filter.waits.get() == Waiting::Failed;
    if has_failed {
        filters::set_waits(request, false);
    }
    has_failed
}

/// The status of the response: if the handler has set none, the code that it has returned says it.
fn status_of(request: Request, rc: Status) -> isize {
    match (request.status(), rc) {
        (0, Status::OK) => HTTP_OK,
        (0, Status::ERROR) => 500,
        (0, rc) if rc.0 >= 100 => rc.0,
        (status, _) => status as isize,
    }
}

/// Gives a response whose script has set headers, but no Content-Type, the location's type.
fn set_default_type(context: &Context) {
    let request = context.request();
    if context.output.headers_set.get()
        && !context.output.mime_set.get()
        && !wire::set_content_type(request)
    {
        request.log().write(Level::Err, b"failed to set default content type");
    }
}

/// The whole batch has finished: pushes the responses; the task goes on when nginx runs the parent.
fn resume(batch: &Rc<Batch>) {
    let Some(task) = batch.task.upgrade() else { return };
    let Some(context) = task.context() else { return };
    context.captures.batches.set(context.captures.batches.get().saturating_sub(1));
    context.ending.no_abort.set(context.captures.batches.get() > 0);
    if !task.is_alive() || context.is_released() {
        return;
    }
    let values = match response::push_all(&context, &task, &batch.captured) {
        Ok(values) => values,
        Err(reason) => {
            context.request().log().write(Level::Err, &reason);
            scheduler::push_no_memory(&task)
        }
    };
    task.drop_pending();
    if context.is_filter_run() {
        // The parent's write event handler belongs to what makes the response.
        return scheduler::wake_later(&task, values, context.request().log());
    }
    context.set_woken(task, values);
    context.reattach();
    scheduler::listen_for_write(&context);
}

/// Whether nginx closes the connection, and so ends the whole request, for this status.
fn drops_connection(rc: Status) -> bool {
    matches!(rc.0, HTTP_CLOSE | HTTP_REQUEST_TIME_OUT | HTTP_CLIENT_CLOSED_REQUEST)
}

/// The status for nginx to go on with: it must not make an error page of its own for a captured
/// response. So the header of an error is sent here, through the filters. `own`: the subrequest's context, if it has one.
fn code_for_nginx(batch: &Batch, request: Request, own: Option<Rc<Context>>, rc: Status) -> Status {
    let special = rc == Status::ERROR
        || matches!(rc.0, HTTP_CREATED | HTTP_NO_CONTENT)
        || (rc.0 >= HTTP_SPECIAL_RESPONSE && !drops_connection(rc));
    if !special {
        return rc;
    }
    let code = match rc {
        Status::ERROR if request.status() != 0 => return Status::OK,
        Status::ERROR => Status::HTTP_INTERNAL_SERVER_ERROR,
        rc => rc,
    };
    // There is no page, so there is no type and no length, unless a script has set one.
    let has_type = own.as_ref().is_some_and(|context| context.output.mime_set.get());
    wire::set_special_response(request, code, has_type);
    if request.get().headers_out.content_length.is_null() {
        framing::clear_content_length(request);
    }
    match own.map_or_else(|| make_context(batch, request), |context| Ok(Some(context))) {
        Ok(Some(context)) if output::send_header_if_needed(&context) != Status::ERROR => Status::OK,
        Ok(None) => Status::OK,
        _ => Status::ERROR,
    }
}

/// Makes the context of a subrequest for which no Lua code has run. `None` if its parent has ended.
fn make_context(batch: &Batch, request: Request) -> Result<Option<Rc<Context>>, OutOfMemory> {
    let Some(parent) = batch.context() else { return Ok(None) };
    let context = Context::new(request, parent.vm().clone(), Phase::Content);
    context.attach()?;
    Ok(Some(context))
}

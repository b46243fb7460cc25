//! What Lua code sends: the header when it is due, body chains, the last buffer, flushes.
//!
//! All output goes through nginx's filter chain, in the order that the script gave it. HTTP/1.0
//! replies of unknown length are held back until the end, so that they carry a Content-Length.
//! Each piece of another body is a call of the filters, and a chunk of the chunked encoding, of its
//! own. A small one waits for what comes next, for as long as nginx's last filter would hold it: until
//! the code waits, flushes or ends, or `postpone_output` bytes are there. So the filters run once for
//! a response of one piece and its end. With `lua_coalesce_output on`, small pieces are joined
//! meanwhile.

use std::rc::Rc;

use super::context::Context;
use super::scheduler;
use super::task::{Operation, Task};
use crate::config::Phase;
use crate::nginx::core::buf::Buf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::client::WriteEvent;
use crate::nginx::http::framing;
use crate::nginx::http::{client, send as wire};
use crate::nginx::http::{pending, subrequest};
use crate::nginx::{Chain, Status};
use crate::ngx_debug;
use crate::runtime::context::output::Stage;

const HTTP_OK: usize = 200;
const HTTP_NOT_MODIFIED: usize = 304;
const HTTP_VERSION_11: usize = 1001;

/// Sends the header unless it is out, or held back for HTTP/1.0.
pub fn send_header_if_needed(context: &Rc<Context>) -> Status {
    if context.is_header_sent() {
        return Status::OK;
    }
    let request = context.request();
    if request.status() == 0 {
        request.set_status(HTTP_OK);
    }
    if !context.output.mime_set.get() && !set_default_type(context) {
        return Status::ERROR;
    }
    if !context.output.headers_set.get() {
        framing::clear_content_length(request);
        wire::clear_accept_ranges(request);
    }
    if context.output.buffering.get() {
        return Status::OK;
    }
    send_header(context)
}

fn send_header(context: &Context) -> Status {
    let request = context.request();
    framing::follow_status(request);
    // The flag comes first: a header filter may run Lua, or nginx make a page of its own, within.
    context.output.header_sent.set(true);
    request.send_header()
}

/// Content-Type by the location's types, where `lua_use_default_type` says so.
fn set_default_type(context: &Rc<Context>) -> bool {
    context.output.mime_set.set(true);
    let request = context.request();
    !context.location().use_default_type()
        || request.status() == HTTP_NOT_MODIFIED
        || wire::set_content_type(request)
}

/// The part of a body that the filters have not been given yet.
#[derive(Clone, Copy, Default)]
pub struct Held {
    chain: Chain,
    /// The last buffer of `chain`.
    last: Option<Buf>,
    len: usize,
}

/// The room of a buffer that collects small pieces.
const HELD_BUF: usize = 512;

/// Sends a piece of the body, which `fill` writes, at most `room` bytes and some: now or with what
/// follows it.
pub fn write(
    context: &Rc<Context>,
    room: usize,
    fill: impl FnOnce(&mut Buf),
) -> Result<Status, OutOfMemory> {
    if let Prepared::Finished(rc) = prepare(context) {
        return Ok(rc);
    }
    if context.output.buffering.get() {
        ngx_debug!(context.request().log(), "lua buffering output bufs for the HTTP 1.0 request");
    } else {
        if !context.location().coalesce_output() {
            let rc = pass_on_held(context);
            if rc.is_failure() {
                return Ok(rc);
            }
        }
        if !may_hold(context, room) {
            let (chain, mut buf) = new_buf(context, room)?;
            fill(&mut buf);
            return Ok(pass_on(context, chain));
        }
    }
    hold(context, room, fill)?;
    Ok(Status::OK)
}

/// Whether `len` bytes more may wait. A broken connection is told at once.
fn may_hold(context: &Context, len: usize) -> bool {
    let request = context.request();
    let held = context.output.held.get().len;
    held.saturating_add(len) < client::postpone_output(request)
        && !is_body_filtered(context)
        && !client::is_broken(request)
}

fn hold(context: &Context, room: usize, fill: impl FnOnce(&mut Buf)) -> Result<(), OutOfMemory> {
    let mut held = context.output.held.get();
    let mut buf = match held.last {
        Some(last) if last.spare_capacity() >= room => last,
        // A response of one piece takes no more memory than that, and a free buffer is not to grow.
        last => {
            let suffices = last.is_none() || context.output.recycled.borrow().offers(room);
            let size = if suffices { room } else { room.max(HELD_BUF) };
            let (chain, buf) = new_buf(context, size)?;
            held.chain.append(chain);
            buf
        }
    };
    let before = buf.spare_capacity();
    fill(&mut buf);
    held.last = Some(buf);
    held.len += before - buf.spare_capacity();
    context.output.held.set(held);
    Ok(())
}

fn new_buf(context: &Context, len: usize) -> Result<(Chain, Buf), OutOfMemory> {
    context.output.recycled.borrow_mut().take(context.request().pool(), len, wire::tag())
}

/// Gives the filters what is held back, and `chain`.
fn pass_on(context: &Rc<Context>, chain: Chain) -> Status {
    let mut all = context.output.held.take().chain;
    all.append(chain);
    filter(context, all)
}

/// Gives the filters what is held back, if anything is.
fn pass_on_held(context: &Rc<Context>) -> Status {
    match context.output.held.get().last {
        Some(_) => pass_on(context, Chain::EMPTY),
        None => Status::OK,
    }
}

/// Gives the filters what is held back, for the code waits, or others write now. Where they refuse
/// it, so will they what follows, and that tells.
pub fn release_held(context: &Rc<Context>) {
    if !context.output.buffering.get() && !context.is_released() {
        pass_on_held(context);
    }
}

/// Ends the response: the last buffer goes through the filters.
pub fn send_last(context: &Rc<Context>) -> Status {
    match prepare(context) {
        Prepared::Finished(rc) => return rc,
        Prepared::Body => {}
    }
    if !discard_unread_body(context) {
        return Status::ERROR;
    }
    if context.output.buffering.get() {
        let rc = send_http10_header(context);
        if rc.is_failure() {
            return rc;
        }
        if context.request().header_only() {
            context.output.stage.set(Stage::Ended);
            context.output.held.take();
            return Status::OK;
        }
    }
    context.output.stage.set(Stage::Ended);
    let request = context.request();
    ngx_debug!(request.log(), "lua sending last buf of the response body");
    let rc = match context.output.held.get().last {
        Some(mut last) if !is_body_filtered(context) => {
            last.set_end(request.is_subrequest());
            pass_on(context, Chain::EMPTY)
        }
        _ => {
            let rc = pass_on_held(context);
            if rc.is_failure() { rc } else { wire::send_last(request) }
        }
    };
    if rc.is_failure() { rc } else { Status::OK }
}

/// Whether code of the location's filters the body: it sees each piece, and the end, for itself.
fn is_body_filtered(context: &Context) -> bool {
    context.location().script(Phase::BodyFilter).is_some()
}

enum Prepared {
    /// Nothing (more) of the body may be sent.
    Finished(Status),
    Body,
}

/// What precedes any piece of the body.
fn prepare(context: &Rc<Context>) -> Prepared {
    if context.output.stage.get() != Stage::Open {
        return Prepared::Finished(Status::OK);
    }
    let request = context.request();
    let is_head = request.is_head();
    if context.is_header_sent() && !is_head && !request.header_only() {
        return Prepared::Body;
    }
    if is_head && !request.header_only() {
        wire::set_header_only(request);
    }
    let must_buffer = request.http_version() < HTTP_VERSION_11
        && !context.is_header_sent()
        && context.location().http10_buffering()
        && framing::content_length(request) < 0;
    if must_buffer {
        context.output.buffering.set(true);
    }
    let rc = send_header_if_needed(context);
    if rc == Status::ERROR || rc.0 > 0 {
        return Prepared::Finished(rc);
    }
    if !request.header_only() {
        return Prepared::Body;
    }
    context.output.stage.set(Stage::Ended);
    if !discard_unread_body(context) {
        return Prepared::Finished(Status::ERROR);
    }
    if context.output.buffering.get() {
        return Prepared::Finished(send_http10_header(context));
    }
    Prepared::Finished(rc)
}

/// A body that nobody read must not be taken for the next request.
fn discard_unread_body(context: &Rc<Context>) -> bool {
    let request = context.request();
    if request.is_subrequest() || !request.get().request_body.is_null() {
        return true;
    }
    request.discard_body() == Status::OK
}

/// HTTP/1.0: the header, with the length of what is held back.
fn send_http10_header(context: &Rc<Context>) -> Status {
    if context.is_header_sent() {
        return Status::OK;
    }
    let request = context.request();
    ngx_debug!(request.log(), "lua sending HTTP 1.0 response headers");
    framing::follow_status(request);
    if !request.header_only() && request.get().headers_out.content_length.is_null() {
        framing::set_content_length(request, context.output.held.get().len);
    }
    send_header(context)
}

/// Sends a chain of recycled buffers through the body filters, and files them.
fn filter(context: &Rc<Context>, chain: Chain) -> Status {
    let request = context.request();
    let rc = request.output_filter(chain);
    if rc == Status::ERROR || context.is_released() {
        return Status::ERROR;
    }
    context.output.recycled.borrow_mut().sent(request.pool(), chain, wire::tag());
    if rc == Status::OK {
        pending::join(request.main(), &mut context.output.recycled.borrow_mut());
    }
    rc
}

/// Asks nginx to send what it holds back; `DONE` while tasks wait for the client to take it.
fn flush_pending(context: &Rc<Context>) -> Status {
    let request = context.request();
    let buffered = client::buffered_bits(request);
    ngx_debug!(request.log(), "lua flushing output: buffered 0x{buffered:x}");
    let chain = if context.output.recycled.borrow().is_busy() {
        Chain::EMPTY
    } else {
        match flush_chain(context) {
            Ok(chain) => chain,
            Err(OutOfMemory) => return Status::ERROR,
        }
    };
    let rc = filter(context, chain);
    if rc == Status::ERROR || rc.0 > 0 {
        return rc;
    }
    if !client::has_buffered_output(request) {
        client::stop_send_timer(request);
        return Status::OK;
    }
    if !client::wait_for_writable(request) {
        return Status::ERROR;
    }
    if context.output.flushing.get() == 0 {
        return Status::OK;
    }
    let buffered = client::buffered_bits(request);
    ngx_debug!(request.log(), "lua flush still waiting: buffered 0x{buffered:x}");
    Status::DONE
}

/// Makes the filters send all they hold.
pub fn flush(context: &Rc<Context>) -> Result<Status, OutOfMemory> {
    Ok(match prepare(context) {
        Prepared::Finished(rc) => rc,
        Prepared::Body => pass_on(context, flush_chain(context)?),
    })
}

/// An empty buffer that makes the filters send all they hold.
fn flush_chain(context: &Context) -> Result<Chain, OutOfMemory> {
    let (chain, mut buf) = new_buf(context, 0)?;
    buf.set_flush();
    Ok(chain)
}

/// Whether output still waits for the client, or for a rate limit.
pub fn is_pending(context: &Context) -> bool {
    let request = context.request();
    client::has_buffered_output(request) || client::is_output_delayed(request)
}

/// What `ngx.flush(true)` waits for; dropped with its task.
struct Flush {
    context: std::rc::Weak<Context>,
}

impl Operation for Flush {}

impl Drop for Flush {
    fn drop(&mut self) {
        let Some(context) = self.context.upgrade() else { return };
        context.output.flushing.set(context.output.flushing.get().saturating_sub(1));
        if context.output.flushing.get() == 0 && !context.is_released() {
            client::stop_send_timer(context.request());
        }
    }
}

/// `task` waits until all output is on its way; false where the connection is broken.
pub fn wait_for_flush(context: &Rc<Context>, task: &Task) -> bool {
    let request = context.request();
    scheduler::listen_for_write(context);
    if !client::wait_for_writable(request) {
        return false;
    }
    task.flushing.set(true);
    context.output.flushing.set(context.output.flushing.get() + 1);
    task.wait_for(Box::new(Flush { context: Rc::downgrade(context) }));
    true
}

/// The connection can take more output, or gave up on it.
pub fn write_event(context: &Rc<Context>) -> Status {
    let useless = if context.has_entered(Phase::Content) { Status::OK } else { Status::DONE };
    // It may be this request's turn in the page now.
    if subrequest::has_postponed(context.request())
        && filter(context, Chain::EMPTY) == Status::ERROR
    {
        return fail(context);
    }
    match client::write_event(context.request()) {
        WriteEvent::Useless => {
            ngx_debug!(context.request().log(), "useless lua write event handler");
            return useless;
        }
        WriteEvent::TimedOut => {}
        WriteEvent::Failed => return fail(context),
        WriteEvent::Ready => {
            if client::has_buffered_output(context.request()) {
                let rc = flush_pending(context);
                if rc != Status::ERROR && rc != Status::OK {
                    return useless;
                }
            }
        }
    }
    if context.output.flushing.get() == 0 {
        ngx_debug!(context.request().log(), "useless lua write event handler");
        return useless;
    }
    resume_flushing(context)
}

fn fail(context: &Rc<Context>) -> Status {
    if context.has_entered(Phase::Content) {
        scheduler::finalize(context, Status::ERROR);
    }
    Status::ERROR
}

/// Wakes each task that waits in `ngx.flush(true)`.
fn resume_flushing(context: &Rc<Context>) -> Status {
    let Ok(waiting) = context.take_flushing() else { return fail(context) };
    for task in waiting {
        if context.is_released() || !task.is_alive() {
            continue;
        }
        let values = push_flush_result(context, &task);
        task.drop_pending();
        let rc = scheduler::run(context, task, values);
        let rc = scheduler::settle(context, rc);
        if rc == Status::ERROR || rc.0 >= 0 {
            return rc;
        }
    }
    Status::DONE
}

/// 1, or nil and why the output did not reach the client.
fn push_flush_result(context: &Context, task: &Task) -> i32 {
    let state = task.state();
    let failure = client::failure(context.request());
    match failure {
        None => {
            state.push_integer(1);
            1
        }
        Some(text) => {
            state.push_nil();
            state.push_str(text);
            2
        }
    }
}

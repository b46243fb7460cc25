//! The body: its pieces, what precedes the first of them, and the last buffer.

use std::rc::Rc;

use super::header::{make_header, send_http10_header};
use super::hold::{Held, hold, is_holding, is_refused, may_hold, new_buf, pass_on, pass_on_held};
use crate::config::{Location, Phase};
use crate::nginx::Status;
use crate::nginx::core::buf::OwnBuf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::framing;
use crate::nginx::http::{request_body, send as wire};
use crate::ngx_debug;
use crate::runtime::context::Context;
use crate::runtime::context::response_state::Stage;

const HTTP_VERSION_11: usize = 1001;

/// Sends a piece of the body: now, or together with what follows. `fill` writes it to a buffer with
/// a spare capacity of `room` bytes at least.
pub fn write(
    context: &Rc<Context>,
    room: usize,
    fill: impl FnOnce(&mut OwnBuf),
) -> Result<Status, OutOfMemory> {
    if let Prepared::Finished(rc) = prepare(context) {
        return Ok(rc);
    }
    if context.output.buffering.get() {
        ngx_debug!(context.request().log(), "lua buffering output bufs for the HTTP 1.0 request");
    } else {
        let location = context.location();
        if is_holding(context) && !location.coalesce_output() {
            let rc = pass_on_held(context);
            if rc.is_failure() {
                return Ok(rc);
            }
        }
        if !may_hold(context, location, room) {
            if is_refused(context) {
                return Ok(Status::ERROR);
            }
            let (chain, mut buf) = new_buf(context, room)?;
            fill(&mut buf);
            return Ok(pass_on(context, chain));
        }
    }
    hold(context, room, fill)?;
    Ok(Status::OK)
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
    let rc = match context.output.held.get() {
        Held { last: Some(mut last), chain, .. } if !is_body_filtered(context.location()) => {
            last.set_end(request.is_subrequest());
            context.output.held.take();
            // Nothing follows that could reuse the buffers.
            let rc = request.output_filter(chain);
            if context.is_released() { Status::ERROR } else { rc }
        }
        _ => {
            let rc = pass_on_held(context);
            if rc.is_failure() { rc } else { wire::send_last(request) }
        }
    };
    if rc.is_failure() { rc } else { Status::OK }
}

pub(super) enum Prepared {
    /// Nothing (more) of the body may be sent.
    Finished(Status),
    Body,
}

/// What precedes any piece of the body.
#[inline(always)]
pub(super) fn prepare(context: &Rc<Context>) -> Prepared {
    if context.output.stage.get() != Stage::Open {
        return Prepared::Finished(Status::OK);
    }
    let request = context.request();
    if context.is_header_sent() && !request.is_head() && !request.header_only() {
        return Prepared::Body;
    }
    prepare_header(context)
}

/// What precedes the first piece of the body.
fn prepare_header(context: &Rc<Context>) -> Prepared {
    let request = context.request();
    let is_head = request.is_head();
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
    let rc = if context.is_header_sent() { Status::OK } else { make_header(context) };
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

/// Discards a request body that has not been read, so that it is not taken for the next request.
fn discard_unread_body(context: &Rc<Context>) -> bool {
    let request = context.request();
    if request.is_subrequest()
        || !request.get().request_body.is_null()
        || request_body::is_absent(request)
    {
        return true;
    }
    request.discard_body() == Status::OK
}

/// Whether the location has `body_filter_by_lua*`, which must see each piece, and the end,
/// separately.
pub(super) fn is_body_filtered(location: &Location) -> bool {
    location.script(Phase::BodyFilter).is_some()
}

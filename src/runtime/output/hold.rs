//! What waits to be given to the filters together with what follows it.

use std::rc::Rc;

use super::body::is_body_filtered;
use crate::config::Location;
use crate::nginx::core::buf::OwnBuf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::{client, departure, pending, send as wire};
use crate::nginx::{Chain, Status};
use crate::runtime::context::Context;

/// The part of a body that the filters have not been given yet.
#[derive(Clone, Copy, Default)]
pub struct Held {
    pub(super) chain: Chain,
    /// The last buffer of `chain`.
    pub(super) last: Option<OwnBuf>,
    pub(super) len: usize,
}

/// The capacity of a buffer that collects small pieces.
const HELD_BUF: usize = 512;

/// Whether `len` more bytes may be held back. Not on a broken connection, so that the error is
/// reported at once.
pub(super) fn may_hold(context: &Context, location: &Location, len: usize) -> bool {
    let request = context.request();
    let held = context.output.held.get().len;
    held.saturating_add(len) < client::postpone_output(request)
        && !is_body_filtered(location)
        && !client::is_broken(request)
}

/// Whether nginx would refuse a piece of the body, and its buffer would never be free again: its client is
/// gone. Code of a body filter sees such pieces all the same, and a captured subrequest goes on.
#[inline]
pub(super) fn is_refused(context: &Context) -> bool {
    let request = context.request();
    client::is_broken(request) && !request.is_subrequest() && !is_body_filtered(context.location())
}

pub(super) fn hold(
    context: &Context,
    room: usize,
    fill: impl FnOnce(&mut OwnBuf),
) -> Result<(), OutOfMemory> {
    let mut held = context.output.held.get();
    let mut buf = match held.last {
        Some(last) if last.spare_capacity() >= room => last,
        // A response of one piece takes no more memory than the piece. Most have one: what follows is not for them,
        // and called.
        None => {
            let (chain, buf) = context.response.take(room, wire::tag())?;
            held.chain = chain;
            buf
        }
        // A reusable buffer that suffices is taken as it is. A new one gets space for more pieces.
        Some(_) => {
            let suffices = context.response.offers(room);
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

#[inline(never)]
pub(super) fn new_buf(context: &Context, len: usize) -> Result<(Chain, OwnBuf), OutOfMemory> {
    context.response.take(len, wire::tag())
}

/// Gives the filters what is held back, and `chain`.
pub(super) fn pass_on(context: &Rc<Context>, chain: Chain) -> Status {
    let mut all = context.output.held.take().chain;
    all.append(chain);
    filter(context, all)
}

/// Gives the filters what is held back, if anything is.
pub(super) fn pass_on_held(context: &Rc<Context>) -> Status {
    if is_holding(context) { pass_on(context, Chain::EMPTY) } else { Status::OK }
}

/// Whether anything is held back.
#[inline(always)]
pub(super) fn is_holding(context: &Context) -> bool {
    context.output.held.get().last.is_some()
}

/// Gives the filters what is held back, because the code waits, or other code writes now. If they
/// refuse it, they will refuse the next output too, which reports the error.
pub fn release_held(context: &Rc<Context>) {
    if !context.output.buffering.get() && !context.is_released() {
        pass_on_held(context);
    }
}

/// Sends a chain of reusable buffers through the body filters, and takes back those that were sent.
pub(super) fn filter(context: &Rc<Context>, chain: Chain) -> Status {
    let request = context.request();
    let rc = request.output_filter(chain);
    if rc == Status::ERROR || context.is_released() {
        mend_connection(context);
        return Status::ERROR;
    }
    context.response.sent(chain, wire::tag());
    if rc == Status::OK {
        pending::join(&context.response);
    }
    rc
}

/// Takes back the mark of a broken connection that nginx has set because a filter has failed for output of a captured
/// subrequest.
pub fn mend_connection(context: &Context) {
    if context.used().is_some_and(|rare| rare.filter.has_refused.take()) {
        departure::lift_error(context.request());
    }
}

//! Joining the many small buffers that nginx's last filter holds back into one.
//!
//! That filter walks through all that it holds back (up to `postpone_output` bytes) whenever it
//! gets more: for a body in many small pieces, that is most of the work. One buffer with all the
//! bytes serves it as well, and the small ones can be reused for other pieces.

use std::ptr::null_mut;

use crate::nginx::core::buf::{Buf, OwnBuf};
use crate::nginx::core::chain::{Chain, CopiedChain};
use crate::nginx::http::response_buffers::ResponseBuffers;
use crate::nginx::http::{client, send};

/// How many buffers must be held back before joining pays.
const MANY: usize = 16;

/// If nginx's last filter holds back many buffers of the page that a response is part of, joins them
/// into one of `buffers`, which are the response's. Without memory, all stays as it is.
pub fn join(buffers: &ResponseBuffers) {
    let request = buffers.request().main();
    // SAFETY: a live request; nginx's last filter, which owns that list, is not running now.
    let held = unsafe { Chain::from_ptr((*request.as_ptr()).out) };
    if held.bufs().nth(MANY).is_none() {
        return;
    }
    let limit = client::postpone_output(request);
    let Some(size) = plain_size(held, limit) else { return };
    let (Some(mut link), Some(first)) = (held.links().next(), held.bufs().next()) else { return };
    // The buffer of an earlier call may have enough spare capacity.
    let fits = |joined: &OwnBuf| joined.spare_capacity() >= size - joined.memory().len();
    if let Some(joined) = buffers.joined(first).filter(fits) {
        move_bytes(held.bufs().skip(1), joined);
    } else {
        let Some(joined) = buffers.take_joined(limit, send::tag()) else { return };
        move_bytes(held.bufs(), joined);
        // SAFETY: a live link of that list.
        unsafe { link.as_mut().buf = joined.as_ptr() }
    }
    // SAFETY: live links of that list, which come from the request's pool and go back to it, as
    // nginx does it.
    unsafe {
        let others = std::mem::replace(&mut link.as_mut().next, null_mut());
        CopiedChain::from_ptr(others, request.pool()).free();
    }
}

/// The size of a list of plain memory buffers; `None` for others, and from `limit` bytes on.
fn plain_size(held: Chain, limit: usize) -> Option<usize> {
    let mut size = 0;
    for buf in held.bufs() {
        size += buf.plain_len()?;
        if size >= limit {
            return None;
        }
    }
    Some(size)
}

/// Moves the bytes of `bufs` to the end of `to`, which has the capacity for them.
fn move_bytes(bufs: impl Iterator<Item = Buf>, mut to: OwnBuf) {
    for mut buf in bufs {
        to.write(buf.memory());
        buf.consume();
    }
}

//! What nginx's last filter holds back: many small buffers become one.
//!
//! That filter walks through all that it holds whenever it gets more, up to `postpone_output`
//! bytes: for a body in many small pieces, that is most of the work. It only looks at the bytes, so
//! one buffer that has the bytes of all is as good, and theirs are free for other pieces.

use std::ptr::null_mut;

use crate::nginx::core::buf::Buf;
use crate::nginx::core::chain::Chain;
use crate::nginx::core::recycled::Recycled;
use crate::nginx::http::request::Request;
use crate::nginx::http::{client, send};

/// How many buffers are to be held back before it is worth it.
const MANY: usize = 16;

/// Joins what is held back of a main request's response, where that is many buffers, in a buffer
/// of `recycled`. Without memory, all stays as it is.
pub fn join(request: Request, recycled: &mut Recycled) {
    // SAFETY: a live request; nginx's last filter, whose list that is, does not run now.
    let held = unsafe { Chain::from_ptr((*request.as_ptr()).out) };
    if held.bufs().nth(MANY).is_none() {
        return;
    }
    let limit = client::postpone_output(request);
    let Some(size) = plain_size(held, limit) else { return };
    let (Some(mut link), Some(first)) = (held.links().next(), held.bufs().next()) else { return };
    // Where an earlier call has joined the first ones, that buffer has the room.
    if recycled.has_joined(first) && first.spare_capacity() >= size - first.memory().len() {
        move_bytes(held.bufs().skip(1), first);
    } else {
        let Some(joined) = recycled.take_joined(request.pool(), limit, send::tag()) else { return };
        move_bytes(held.bufs(), joined);
        // SAFETY: a live link of that list.
        unsafe { link.as_mut().buf = joined.as_ptr() }
    }
    // SAFETY: live links of that list, which nginx takes from the request's pool, and puts back so.
    unsafe {
        let others = std::mem::replace(&mut link.as_mut().next, null_mut());
        Chain::from_ptr(others).free_links(request.pool());
    }
}

/// The bytes of a list that is less than `limit`, and nothing but bytes in memory.
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

/// Moves the bytes of `bufs` behind those of `to`, which has the room.
fn move_bytes(bufs: impl Iterator<Item = Buf>, mut to: Buf) {
    for mut buf in bufs {
        to.write(buf.memory());
        buf.consume();
    }
}

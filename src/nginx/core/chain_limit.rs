//! Cutting a chain to a length, for a response that must not be longer than its header says.

use std::ptr::null_mut;

use crate::nginx::core::buf::Buf;
use crate::nginx::core::chain::{Chain, GrowingChain};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::ngx_alloc_chain_link;

impl Chain {
    /// The total number of bytes in all buffers.
    pub fn size(self) -> u64 {
        self.bufs().map(|buf| u64::try_from(buf.size()).unwrap_or(0)).sum()
    }

    /// A chain of the first `limit` bytes, in links from `pool`, with the flags of the buffers that
    /// are left out; those are marked as sent.
    pub fn first(self, pool: Pool, limit: u64) -> Result<Chain, OutOfMemory> {
        let mut left = limit;
        let mut first = GrowingChain::EMPTY;
        for mut buf in self.bufs() {
            let size = u64::try_from(buf.size()).unwrap_or(0);
            if size == 0 || left > 0 {
                buf.shorten(left);
                left = left.saturating_sub(size);
                first.append(link(pool, buf)?);
                continue;
            }
            buf.consume();
            if buf.is_last() || buf.is_flush() {
                first.append(link(pool, buf.marks(pool)?)?);
            }
        }
        Ok(first.whole())
    }
}

impl Buf {
    /// Leaves the first `limit` bytes in the buffer.
    fn shorten(&mut self, limit: u64) {
        // SAFETY: a live buffer, by `from_ptr`'s contract. nginx gives a filter the buffers of its
        // input to change them; nothing else uses their fields meanwhile.
        let buf = unsafe { &mut *self.as_ptr() };
        let Ok(limit) = i64::try_from(limit) else { return };
        if buf.last > buf.pos {
            let len = self.memory().len().min(usize::try_from(limit).unwrap_or(usize::MAX));
            buf.last = buf.pos.wrapping_add(len);
        }
        if buf.in_file() != 0 {
            buf.file_last = buf.file_last.min(buf.file_pos.saturating_add(limit));
        }
    }
}

/// A chain of one link.
fn link(pool: Pool, buf: Buf) -> Result<Chain, OutOfMemory> {
    // SAFETY: a fresh link in a live pool.
    unsafe {
        let link = ngx_alloc_chain_link(pool.as_ptr());
        if link.is_null() {
            return Err(OutOfMemory);
        }
        (*link).buf = buf.as_ptr();
        (*link).next = null_mut();
        Ok(Chain::from_ptr(link))
    }
}

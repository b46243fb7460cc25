//! Buffer chains: what goes to nginx's output filters.

use std::ptr::{NonNull, null_mut};

use crate::ngx_debug;

use crate::nginx::core::log::Log;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{
    ngx_buf_t, ngx_buf_tag_t, ngx_chain_add_copy, ngx_chain_t, ngx_chain_update_chains, ngx_pfree,
};

impl Default for Chain {
    fn default() -> Chain {
        Chain::EMPTY
    }
}

/// A list of buffers; copies are the same list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain(*mut ngx_chain_t);

impl Chain {
    pub const EMPTY: Chain = Chain(null_mut());

    /// # Safety
    /// `chain` must be null or a chain whose pool outlives the value.
    pub unsafe fn from_ptr(chain: *mut ngx_chain_t) -> Chain {
        Chain(chain)
    }

    pub fn as_ptr(self) -> *mut ngx_chain_t {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0.is_null()
    }

    /// The links, first to last.
    pub fn links(self) -> impl Iterator<Item = NonNull<ngx_chain_t>> {
        let mut next = self.0;
        std::iter::from_fn(move || {
            let link = NonNull::new(next)?;
            // SAFETY: `from_ptr`'s contract: each link is live.
            next = unsafe { link.as_ref().next };
            Some(link)
        })
    }

    /// The buffers, first to last.
    pub fn bufs(self) -> impl Iterator<Item = Buf> {
        // SAFETY: a link of a live chain holds a live buffer.
        self.links().map(|link| Buf(unsafe { link.as_ref().buf }))
    }

    /// Appends `tail` at the end.
    pub fn append(&mut self, tail: Chain) {
        match self.links().last() {
            // SAFETY: the last link is live, and nothing else holds a reference to it.
            Some(mut last) => unsafe { last.as_mut().next = tail.0 },
            None => *self = tail,
        }
    }

    /// Appends links of `pool`'s own to the buffers of `other`.
    pub fn append_copy(&mut self, pool: Pool, other: Chain) -> Result<(), OutOfMemory> {
        // SAFETY: both are live chains, the first one's links in `pool`.
        match unsafe { ngx_chain_add_copy(pool.as_ptr(), &mut self.0, other.0) } {
            0 => Ok(()),
            _ => Err(OutOfMemory),
        }
    }

    /// Gives the links, not their buffers, back to `pool`, which they came from.
    pub fn free_links(self, pool: Pool) {
        for mut link in self.links() {
            // SAFETY: the caller's: nobody uses the links any more. The pool keeps free ones in
            // a list.
            unsafe {
                link.as_mut().next = (*pool.as_ptr()).chain;
                (*pool.as_ptr()).chain = link.as_ptr();
            }
        }
    }

    /// Bytes in memory buffers, all together.
    pub fn memory_len(self) -> usize {
        self.bufs().map(|buf| buf.memory().len()).sum()
    }
}

/// One buffer; copies are the same buffer.
#[derive(Clone, Copy)]
pub struct Buf(*mut ngx_buf_t);

impl Buf {
    /// # Safety
    /// `buf` must be a buffer whose pool outlives the value.
    pub(in crate::nginx) unsafe fn from_ptr(buf: NonNull<ngx_buf_t>) -> Buf {
        Buf(buf.as_ptr())
    }

    pub(in crate::nginx) fn as_ptr(self) -> *mut ngx_buf_t {
        self.0
    }

    fn get(&self) -> &ngx_buf_t {
        // SAFETY: a `Buf` comes from a live chain only (`Chain::bufs`, `Recycled::take`).
        unsafe { &*self.0 }
    }

    /// The unread bytes of a memory buffer; empty for file and special buffers.
    pub fn memory(&self) -> &[u8] {
        let buf = self.get();
        let in_memory = buf.temporary() | buf.memory() | buf.mmap() != 0;
        if !in_memory || buf.last <= buf.pos {
            return &[];
        }
        // SAFETY: pos..last lies within one allocation of the buffer's pool.
        unsafe { std::slice::from_raw_parts(buf.pos, buf.last.offset_from(buf.pos) as usize) }
    }

    /// How many bytes a buffer has that is nothing but those, in memory: it marks no end and no
    /// flush, is not in a file too, and is not part of another one.
    pub fn plain_len(&self) -> Option<usize> {
        let buf = self.get();
        let marks = buf.in_file() | buf.flush() | buf.sync() | buf.recycled();
        let is_plain = marks | buf.last_buf() | buf.last_in_chain() == 0 && buf.shadow.is_null();
        Some(self.memory().len()).filter(|len| is_plain && *len > 0)
    }

    /// Bytes of the buffer, in memory or in its file.
    pub fn size(&self) -> i64 {
        let buf = self.get();
        if buf.temporary() | buf.memory() | buf.mmap() != 0 {
            self.memory().len() as i64
        } else {
            buf.file_last - buf.file_pos
        }
    }

    /// Marks everything in the buffer as sent.
    pub fn consume(&mut self) {
        // SAFETY: nginx hands buffers to a filter to be consumed; plain fields.
        unsafe {
            (*self.0).pos = (*self.0).last;
            (*self.0).file_pos = (*self.0).file_last;
        }
    }

    pub fn is_last(&self) -> bool {
        self.get().last_buf() != 0 || self.get().last_in_chain() != 0
    }

    /// Whether it ends the response itself, not only what a subrequest adds to it.
    pub fn ends_response(&self) -> bool {
        self.get().last_buf() != 0
    }

    /// Appends bytes to a buffer of ours that has the room; tells how many fitted.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: ours alone to write: `Recycled::take` gave it, nginx has not seen it yet.
        unsafe {
            let buf = &mut *self.0;
            let room = buf.end.offset_from(buf.last).max(0) as usize;
            let len = room.min(bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.last, len);
            buf.last = buf.last.add(len);
            len
        }
    }

    /// How many bytes more a buffer of ours takes.
    pub fn room(&self) -> usize {
        let buf = self.get();
        // SAFETY: both lie within the buffer's memory, or are null together.
        unsafe { buf.end.offset_from(buf.last).max(0) as usize }
    }

    pub fn set_flush(&mut self) {
        // SAFETY: as in `write`.
        unsafe { (*self.0).set_flush(1) }
    }

    pub fn is_flush(&self) -> bool {
        self.get().flush() != 0
    }

    /// The buffer does not end the response any more; without data it is one that only passes.
    pub fn clear_last(&mut self) {
        if !self.is_last() {
            return;
        }
        let is_empty = self.size() == 0;
        // SAFETY: as in `write`.
        unsafe {
            let buf = &mut *self.0;
            buf.set_last_buf(0);
            buf.set_last_in_chain(0);
            if is_empty && buf.temporary() | buf.memory() | buf.mmap() == 0 {
                buf.set_sync(1);
            }
        }
    }

    /// The buffer ends the response, or that of a subrequest.
    pub fn set_end(&mut self, of_subrequest: bool) {
        // SAFETY: as in `write`.
        unsafe {
            if of_subrequest {
                (*self.0).set_last_in_chain(1);
            } else {
                (*self.0).set_last_buf(1);
            }
        }
    }
}

/// Buffers of one request that are used again once nginx has sent them.
pub struct Recycled {
    free: *mut ngx_chain_t,
    busy: *mut ngx_chain_t,
    /// The one that holds the bytes of many.
    joined: Option<Buf>,
}

impl Recycled {
    pub const fn new() -> Recycled {
        Recycled { free: null_mut(), busy: null_mut(), joined: None }
    }

    /// A one-link chain whose buffer has room for `len` bytes (0: a special buffer, no memory).
    pub fn take(
        &mut self,
        pool: Pool,
        len: usize,
        tag: ngx_buf_tag_t,
    ) -> Result<(Chain, Buf), OutOfMemory> {
        // SAFETY: pool and free list are live; a free buffer is ours alone.
        unsafe {
            if let Some(link) = NonNull::new(self.free) {
                self.free = link.as_ref().next;
                grow(pool, link, len)?;
                return Ok(reset(link, len, tag));
            }
            Ok(reset(new(pool, len)?, len, tag))
        }
    }

    /// Whether the next buffer that `take` gives has room for `len` bytes already.
    pub fn offers(&self, len: usize) -> bool {
        // SAFETY: a free link of ours is live, and so is its buffer.
        let next = unsafe { self.free.as_ref().and_then(|link| link.buf.as_ref()) };
        next.is_some_and(|buf| memory_room(buf) >= len)
    }

    /// Files what was just sent (`out`): finished buffers become free, the others stay busy.
    pub fn sent(&mut self, pool: Pool, out: Chain, tag: ngx_buf_tag_t) {
        let mut out = out.0;
        // SAFETY: all three lists are live and belong to this request.
        unsafe {
            ngx_chain_update_chains(pool.as_ptr(), &mut self.free, &mut self.busy, &mut out, tag);
        }
    }

    /// Whether `buf` is the buffer that [`Recycled::take_joined`] gave.
    pub fn has_joined(&self, buf: Buf) -> bool {
        self.joined.is_some_and(|joined| std::ptr::eq(joined.0, buf.0))
    }

    /// An empty buffer with room for `len` bytes, in which others are joined: there is one at a time.
    pub fn take_joined(&mut self, pool: Pool, len: usize, tag: ngx_buf_tag_t) -> Option<Buf> {
        let link = match self.joined {
            Some(joined) if !joined.memory().is_empty() => return None,
            // SAFETY: a buffer of ours that nginx has sent.
            Some(joined) if memory_room(joined.get()) >= len => {
                unsafe { reset_buf(joined.0, len, tag) };
                return Some(joined);
            }
            _ => new(pool, len).ok()?,
        };
        // SAFETY: fresh memory of ours alone.
        let (_, joined) = unsafe { reset(link, len, tag) };
        self.joined = Some(joined);
        Some(joined)
    }

    /// Whether nginx still holds buffers of ours.
    pub fn is_busy(&self) -> bool {
        !self.busy.is_null()
    }
}

/// A link, its buffer and a little memory, in one piece of the pool.
#[repr(C)]
struct Small {
    link: ngx_chain_t,
    buf: ngx_buf_t,
}

/// Memory of more bytes is a piece of its own, which a pool may free.
const SMALL: usize = 512;

/// A new link with a buffer that has room for `len` bytes.
fn new(pool: Pool, len: usize) -> Result<NonNull<ngx_chain_t>, OutOfMemory> {
    let inside = if len <= SMALL { len } else { 0 };
    let small: NonNull<Small> = pool.bytes_aligned(size_of::<Small>() + inside)?.cast();
    let start = match inside {
        0 if len == 0 => null_mut(),
        0 => pool.bytes(len)?.as_ptr(),
        // SAFETY: behind the structures there are that many bytes.
        _ => unsafe { small.as_ptr().add(1).cast() },
    };
    // SAFETY: fresh memory of that size, aligned for nginx's types; zero is valid for both.
    unsafe {
        let small = small.as_ptr();
        small.write(std::mem::zeroed());
        (*small).buf.start = start;
        (*small).buf.end = start.wrapping_add(len);
        (*small).link.buf = &raw mut (*small).buf;
    }
    Ok(small.cast())
}

/// How many bytes the memory of a buffer of ours has in all.
fn memory_room(buf: &ngx_buf_t) -> usize {
    // SAFETY: both ends lie within one allocation, or are null together.
    unsafe { buf.end.offset_from(buf.start).max(0) as usize }
}

/// Gives a free buffer the room for `len` bytes.
unsafe fn grow(pool: Pool, link: NonNull<ngx_chain_t>, len: usize) -> Result<(), OutOfMemory> {
    // SAFETY: the caller's: a free link of ours in `pool`, whose memory nobody uses.
    unsafe {
        let log = Log::from_ptr((*pool.as_ptr()).log);
        let buf = &mut *link.as_ref().buf;
        let room = memory_room(buf);
        if room >= len {
            ngx_debug!(log, "lua reuse free buf memory {room} >= {len}");
            return Ok(());
        }
        ngx_debug!(log, "lua reuse free buf chain, but reallocate memory because {len} >= {room}");
        if !buf.start.is_null() {
            ngx_pfree(pool.as_ptr(), buf.start.cast());
        }
        buf.start = null_mut();
        buf.end = null_mut();
        let start = pool.bytes(len)?;
        buf.start = start.as_ptr();
        buf.end = start.as_ptr().add(len);
    }
    Ok(())
}

/// A link and its buffer, empty and alone. One that is to hold no bytes is a special buffer: it
/// has no memory as far as nginx's filters can see.
unsafe fn reset(link: NonNull<ngx_chain_t>, len: usize, tag: ngx_buf_tag_t) -> (Chain, Buf) {
    // SAFETY: the caller's: `link` and its buffer are live and ours alone.
    unsafe {
        (*link.as_ptr()).next = null_mut();
        let buf = link.as_ref().buf;
        reset_buf(buf, len, tag);
        (Chain(link.as_ptr()), Buf(buf))
    }
}

/// A buffer, empty, as [`reset`] leaves it.
unsafe fn reset_buf(buf: *mut ngx_buf_t, len: usize, tag: ngx_buf_tag_t) {
    // SAFETY: the caller's: a live buffer that is ours alone.
    unsafe {
        let buf = &mut *buf;
        let (start, end) = (buf.start, buf.end);
        std::ptr::write_bytes(buf, 0, 1);
        buf.start = start;
        buf.end = end;
        buf.pos = start;
        buf.last = start;
        buf.tag = tag;
        buf.set_temporary(u32::from(len > 0));
    }
}

//! Output buffers of a request, which are reused once nginx has sent them.
//!
//! They are all in the request's pool. So one value has them and the request: another request begins without buffers.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

use crate::nginx::core::buf::{Buf, OwnBuf};
use crate::nginx::core::chain::Chain;
use crate::nginx::core::log::Log;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_buf_t, ngx_buf_tag_t, ngx_chain_t, ngx_chain_update_chains, ngx_pfree,
};
use crate::ngx_debug;

/// A request, and the buffers that this module makes for its response.
///
/// Invariant: the links and buffers are live, because they are in the pool of the request, which has one pool as long
/// as it lives; and they are used only as long as the request is.
pub struct ResponseBuffers {
    request: Request,
    free: Cell<*mut ngx_chain_t>,
    busy: Cell<*mut ngx_chain_t>,
    /// The last link of the busy ones, if there are any.
    busy_end: Cell<*mut ngx_chain_t>,
    /// The buffer that `take` gave last.
    latest: Cell<*mut ngx_buf_t>,
    /// The buffer into which many small ones are joined.
    joined: Cell<Option<OwnBuf>>,
}

impl ResponseBuffers {
    /// No buffers yet.
    #[inline(always)]
    pub const fn new(request: Request) -> ResponseBuffers {
        ResponseBuffers {
            request,
            free: Cell::new(null_mut()),
            busy: Cell::new(null_mut()),
            busy_end: Cell::new(null_mut()),
            latest: Cell::new(null_mut()),
            joined: Cell::new(None),
        }
    }

    #[inline(always)]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// A chain of one link whose buffer has a capacity of `len` bytes (0: a special buffer without
    /// memory).
    #[inline(always)]
    pub fn take(&self, len: usize, tag: ngx_buf_tag_t) -> Result<(Chain, OwnBuf), OutOfMemory> {
        let pool = self.request.pool();
        // SAFETY: `make` made the links of the free list in this pool, the type's invariant; a buffer
        // gets there once nginx has sent it, so nothing else uses it.
        let (chain, buf) = unsafe {
            match NonNull::new(self.free.get()) {
                Some(link) => {
                    self.free.set(link.as_ref().next);
                    grow(pool, link, len)?;
                    reset(link, len, tag)
                }
                None => reset(make(pool, len)?, len, tag),
            }
        };
        self.latest.set(buf.as_ptr());
        Ok((chain, buf))
    }

    /// As [`ResponseBuffers::take`], with the bytes of `from`, which whoever calls this marks as sent. If it is the
    /// buffer that `maker` gave last, the memory changes hands; otherwise the bytes are copied.
    pub fn take_bytes(
        &self,
        from: Buf,
        maker: Option<&ResponseBuffers>,
        tag: ngx_buf_tag_t,
    ) -> Result<Chain, OutOfMemory> {
        if maker.is_some_and(|maker| maker.can_give_up(from, self.request.pool())) {
            let (chain, buf) = self.take(0, tag)?;
            // SAFETY: `make` made both buffers, with memory of one pool, which nothing else uses: `buf` was free, and
            // the bytes of `from` have come to whoever marks them as sent.
            unsafe { swap_memory(buf.as_ptr(), from.as_ptr()) };
            return Ok(chain);
        }
        let bytes = from.memory();
        let (chain, mut buf) = self.take(bytes.len(), tag)?;
        buf.write(bytes);
        Ok(chain)
    }

    /// Whether `buf` is the one that `take` gave last, still has its own memory, and that is from `pool`.
    fn can_give_up(&self, buf: Buf, pool: Pool) -> bool {
        let is_latest = std::ptr::eq(buf.as_ptr(), self.latest.get());
        let buf = buf.get();
        is_latest
            && buf.temporary() != 0
            && buf.in_file() == 0
            && (buf.start..=buf.last).contains(&buf.pos)
            && buf.last <= buf.end
            && std::ptr::eq(self.request.pool().as_ptr(), pool.as_ptr())
    }

    /// Whether the next buffer that `take` gives has a capacity of `len` bytes already.
    pub fn offers(&self, len: usize) -> bool {
        // SAFETY: `make` made the links of the free list and their buffers, which are live, the type's invariant.
        let next = unsafe { self.free.get().as_ref().and_then(|link| link.buf.as_ref()) };
        next.is_some_and(|buf| memory_size(buf) >= len)
    }

    /// To be called after `out` was sent: buffers that are finished become free, the others stay
    /// busy.
    pub fn sent(&self, out: Chain, tag: ngx_buf_tag_t) {
        let (free, busy) = (self.free.as_ptr(), self.busy.as_ptr());
        // SAFETY: the links of all three lists live in this request's pool, and only this changes
        // those of the busy list; nginx moves them from one list to another, and looks at their
        // buffers.
        unsafe {
            // nginx itself would go through all that is busy.
            if let Some(end) = out.links().last() {
                if self.is_busy() {
                    (*self.busy_end.get()).next = out.as_ptr();
                } else {
                    self.busy.set(out.as_ptr());
                }
                self.busy_end.set(end.as_ptr());
            }
            ngx_chain_update_chains(self.request.pool().as_ptr(), free, busy, &mut null_mut(), tag);
        }
    }

    /// The buffer that [`ResponseBuffers::take_joined`] gave, if it is `buf`.
    pub fn joined(&self, buf: Buf) -> Option<OwnBuf> {
        self.joined.get().filter(|joined| std::ptr::eq(joined.as_ptr(), buf.as_ptr()))
    }

    /// An empty buffer with a capacity of `len` bytes into which others are joined: there is one at
    /// a time.
    pub fn take_joined(&self, len: usize, tag: ngx_buf_tag_t) -> Option<OwnBuf> {
        let link = match self.joined.get() {
            Some(joined) if !joined.memory().is_empty() => return None,
            Some(joined) if memory_size(joined.get()) >= len => {
                // SAFETY: `make` made the buffer, which is live, the type's invariant. It is empty, so
                // nginx has sent it, and nothing else uses it.
                unsafe { reset_buf(joined.as_ptr(), len, tag) };
                return Some(joined);
            }
            _ => make(self.request.pool(), len).ok()?,
        };
        // SAFETY: fresh memory of ours alone.
        let (_, joined) = unsafe { reset(link, len, tag) };
        self.joined.set(Some(joined));
        Some(joined)
    }

    /// Whether nginx still holds buffers of ours.
    pub fn is_busy(&self) -> bool {
        !self.busy.get().is_null()
    }
}

/// A link, its buffer and a little memory, in one piece of the pool.
#[repr(C)]
struct Small {
    link: ngx_chain_t,
    buf: ngx_buf_t,
}

/// Above this size, the memory is allocated by itself, so that the pool can free it.
const SMALL: usize = 512;

/// A new link with a buffer of `len` bytes, to be given to [`reset`].
fn make(pool: Pool, len: usize) -> Result<NonNull<ngx_chain_t>, OutOfMemory> {
    let inside = if len <= SMALL { len } else { 0 };
    let small: NonNull<Small> = pool.bytes_aligned(size_of::<Small>() + inside)?.cast();
    let start = match inside {
        0 if len == 0 => null_mut(),
        0 => pool.bytes(len)?.as_ptr(),
        // SAFETY: that many bytes follow the structures.
        _ => unsafe { small.as_ptr().add(1).cast() },
    };
    // SAFETY: fresh memory of that size, aligned for nginx's types; `reset` sets the rest.
    unsafe {
        let small = small.as_ptr();
        (&raw mut (*small).buf.start).write(start);
        (&raw mut (*small).buf.end).write(start.wrapping_add(len));
        (&raw mut (*small).link.buf).write(&raw mut (*small).buf);
    }
    Ok(small.cast())
}

/// The whole size of a buffer's memory.
fn memory_size(buf: &ngx_buf_t) -> usize {
    // SAFETY: both ends lie within one allocation, or are null together.
    unsafe { buf.end.offset_from(buf.start).max(0) as usize }
}

/// Gives a free buffer a capacity of `len` bytes.
///
/// # Safety
/// `link` and its buffer must be live, of `pool`, made by [`make`], and in use by nothing else.
unsafe fn grow(pool: Pool, link: NonNull<ngx_chain_t>, len: usize) -> Result<(), OutOfMemory> {
    // SAFETY: `link` is a free link of ours in `pool`, the contract of this function.
    unsafe {
        let log = Log::from_ptr((*pool.as_ptr()).log);
        let buf = &mut *link.as_ref().buf;
        let room = memory_size(buf);
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

/// Gives `to` the memory of `from`, with the bytes in it, and `from` that of `to`, which is empty.
///
/// # Safety
/// Both must be live, made by [`make`] in one pool, and in use by nothing else.
unsafe fn swap_memory(to: *mut ngx_buf_t, from: *mut ngx_buf_t) {
    // SAFETY: two live buffers of ours alone, the contract of this function.
    unsafe {
        let (to, from) = (&mut *to, &mut *from);
        for (one, other) in [
            (&mut to.start, &mut from.start),
            (&mut to.pos, &mut from.pos),
            (&mut to.last, &mut from.last),
            (&mut to.end, &mut from.end),
        ] {
            std::mem::swap(one, other);
        }
        to.set_temporary(1);
    }
}

/// Empties a link and its buffer. If the buffer is to hold no bytes, it becomes a special buffer,
/// which looks to nginx's filters as if it had no memory.
///
/// # Safety
/// `link` and its buffer must be live, made by [`make`], and in use by nothing else.
unsafe fn reset(link: NonNull<ngx_chain_t>, len: usize, tag: ngx_buf_tag_t) -> (Chain, OwnBuf) {
    // SAFETY: `link` and its buffer are live and ours alone, the contract of this function.
    unsafe {
        (*link.as_ptr()).next = null_mut();
        let buf = (*link.as_ptr()).buf;
        reset_buf(buf, len, tag);
        (Chain::from_ptr(link.as_ptr()), OwnBuf::new(Buf::from_ptr(buf)))
    }
}

/// Empties a buffer, as [`reset`] does.
///
/// # Safety
/// `buf` must be live, made by [`make`], and in use by nothing else.
unsafe fn reset_buf(buf: *mut ngx_buf_t, len: usize, tag: ngx_buf_tag_t) {
    // SAFETY: `buf` is live and ours alone, the contract of this function.
    unsafe {
        let (start, end) = ((*buf).start, (*buf).end);
        buf.write_bytes(0, 1);
        let buf = &mut *buf;
        buf.start = start;
        buf.end = end;
        buf.pos = start;
        buf.last = start;
        buf.tag = tag;
        buf.set_temporary(u32::from(len > 0));
    }
}

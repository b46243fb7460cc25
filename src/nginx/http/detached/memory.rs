//! What a request has in the memory of its connection: the header as nginx read it, and addresses.
//! In HTTP/1, the header is in buffers, which are copied. In HTTP/2 and HTTP/3 it is in a pool of
//! the stream: that one's first block is copied, the rest is taken over. Of the connection's pool,
//! the blocks are copied: they have the client's address, and what nginx knows of its certificate.

use std::ptr::null_mut;

use codec::fallible::Grow;

use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_buf_t, ngx_pool_large_t, ngx_pool_t, ngx_str_t};

/// Copied memory, and where the copy is.
struct Range {
    start: usize,
    len: usize,
    copy: *mut u8,
}

/// The stream's pool, and a list for its large pieces.
struct Stream {
    pool: *mut ngx_pool_t,
    /// For each large piece, its entry in the stream's list, and a fresh entry for the request's
    /// list.
    large: Vec<(*mut ngx_pool_large_t, *mut ngx_pool_large_t)>,
}

/// The memory that has another place from now on.
pub(super) struct Moved {
    ranges: Vec<Range>,
    stream: Option<Stream>,
}

impl Moved {
    /// Copies what `request` has in its connection's memory.
    pub(super) fn of(request: Request) -> Result<Moved, OutOfMemory> {
        let mut moved = Moved { ranges: Vec::new(), stream: None };
        let pool = request.pool();
        // SAFETY: a live request, with nginx's own structures about its connection.
        unsafe {
            let of_stream = stream_pool(request);
            match of_stream {
                Some(of_stream) => moved.stream = Some(moved.copy_first(pool, of_stream)?),
                None => {
                    moved.copy_buffer(pool, (*request.connection()).buffer)?;
                    let record = request.get().http_connection.as_ref();
                    let mut next = record.map_or(null_mut(), |record| record.busy);
                    while let Some(link) = next.as_ref() {
                        moved.copy_buffer(pool, link.buf)?;
                        next = link.next;
                    }
                }
            }
            let mut block = (*request.connection()).pool;
            if of_stream != Some(block) {
                while !block.is_null() {
                    moved.copy_block(pool, block)?;
                    block = (*block).d.next;
                }
            }
        }
        Ok(moved)
    }

    /// Copies a buffer's memory; nothing for null.
    ///
    /// # Safety
    /// `buf` must be null or a live buffer in memory.
    unsafe fn copy_buffer(&mut self, pool: Pool, buf: *mut ngx_buf_t) -> Result<(), OutOfMemory> {
        // SAFETY: the buffer is null or live, the contract of this function.
        match unsafe { buf.as_ref() } {
            Some(buf) if !buf.start.is_null() => {
                let len = (buf.end as usize).saturating_sub(buf.start as usize);
                // SAFETY: nginx's buffer goes from its start to its end.
                unsafe { self.copy(pool, buf.start, len) }
            }
            _ => Ok(()),
        }
    }

    /// A copy of `text`.
    ///
    /// # Safety
    /// The string must be live.
    pub(super) unsafe fn copy_text(
        &mut self,
        pool: Pool,
        text: ngx_str_t,
    ) -> Result<ngx_str_t, OutOfMemory> {
        // SAFETY: a live string, the contract of this function.
        unsafe { self.copy(pool, text.data, text.len)? };
        Ok(ngx_str_t { len: text.len, data: self.place(text.data) })
    }

    /// Copies `len` bytes, and notes their new place, which is aligned for any of nginx's types.
    ///
    /// # Safety
    /// `start` must point to `len` bytes.
    unsafe fn copy(&mut self, pool: Pool, start: *const u8, len: usize) -> Result<(), OutOfMemory> {
        if len == 0 {
            return Ok(());
        }
        let copy = pool.bytes_aligned(len)?.as_ptr();
        // SAFETY: the copy is fresh and has room, the contract of this function.
        unsafe { std::ptr::copy_nonoverlapping(start, copy, len) };
        self.ranges.try_push(Range { start: start as usize, len, copy })
    }

    /// Copies a block of a pool, which begins with what the pool's own structure begins with.
    ///
    /// # Safety
    /// `of` must be a live pool, or a further block of one.
    unsafe fn copy_block(&mut self, pool: Pool, of: *mut ngx_pool_t) -> Result<(), OutOfMemory> {
        // SAFETY: a live block, the contract of this function.
        unsafe {
            let used = ((*of).d.last as usize).saturating_sub(of as usize);
            self.copy(pool, of.cast(), used)
        }
    }

    /// Copies the first block of a stream's pool, and lists its large pieces.
    ///
    /// # Safety
    /// `of_stream` must be a live pool.
    unsafe fn copy_first(
        &mut self,
        pool: Pool,
        of_stream: *mut ngx_pool_t,
    ) -> Result<Stream, OutOfMemory> {
        // SAFETY: a live pool, the contract of this function; nginx's list of its large pieces.
        unsafe {
            self.copy_block(pool, of_stream)?;
            let mut stream = Stream { pool: of_stream, large: Vec::new() };
            let mut next = (*of_stream).large;
            while let Some(piece) = next.as_mut() {
                next = piece.next;
                if !piece.alloc.is_null() {
                    let new = pool.zeroed::<ngx_pool_large_t>()?.as_ptr();
                    stream.large.try_push((piece, new))?;
                }
            }
            Ok(stream)
        }
    }

    /// Where the byte at `at` is from now on: in its copy, or, if it was not copied, where it was.
    #[inline]
    pub(super) fn place(&self, at: *mut u8) -> *mut u8 {
        let mut ranges = self.ranges.iter();
        let range = ranges.find(|range| (at as usize).wrapping_sub(range.start) < range.len);
        match range {
            Some(range) => range.copy.wrapping_add((at as usize).wrapping_sub(range.start)),
            None => at,
        }
    }

    /// A copy of the buffer's structure, with what it refers to in its new place; null for null.
    ///
    /// # Safety
    /// `buf` must be null or a live buffer.
    pub(super) unsafe fn copy_of(
        &self,
        pool: Pool,
        buf: *mut ngx_buf_t,
    ) -> Result<*mut ngx_buf_t, OutOfMemory> {
        if buf.is_null() {
            return Ok(null_mut());
        }
        // SAFETY: the buffer is live, the contract of this function; the copy is fresh.
        unsafe {
            let copy: *mut ngx_buf_t = pool.bytes_aligned(size_of::<ngx_buf_t>())?.cast().as_ptr();
            copy.write(buf.read());
            self.adjust_buffer(copy);
            Ok(copy)
        }
    }

    /// Has the buffer point to the new place of its memory.
    ///
    /// # Safety
    /// `buf` must be a live buffer.
    pub(super) unsafe fn adjust_buffer(&self, buf: *mut ngx_buf_t) {
        // SAFETY: the buffer is live, the contract of this function. All of its pointers are to the
        // same memory, or null. They move by the same distance, because `end` is one byte past that
        // memory, where `place` would not find it.
        unsafe {
            let start = (*buf).start;
            let way = (self.place(start) as isize).wrapping_sub(start as isize);
            for at in [
                &raw mut (*buf).pos,
                &raw mut (*buf).last,
                &raw mut (*buf).start,
                &raw mut (*buf).end,
            ] {
                *at = (*at).wrapping_offset(way);
            }
        }
    }

    /// Gives the rest of the stream's pool to `real`.
    ///
    /// # Safety
    /// Both pools must live. What nginx still has in the stream's must not be used once `real` is
    /// destroyed.
    pub(super) unsafe fn take_blocks(&mut self, real: *mut ngx_pool_t) {
        let Some(stream) = self.stream.take() else { return };
        // SAFETY: live pools, the contract of this function; the pieces are in the stream's list,
        // and leave it by losing their memory.
        unsafe {
            for (piece, new) in stream.large {
                (*new).alloc = std::mem::replace(&mut (*piece).alloc, null_mut());
                (*new).next = (*real).large;
                (*real).large = new;
            }
            let mut last = (*real).current;
            while !(*last).d.next.is_null() {
                last = (*last).d.next;
            }
            (*last).d.next = std::mem::replace(&mut (*stream.pool).d.next, null_mut());
            (*stream.pool).current = stream.pool;
        }
    }
}

/// The pool of an HTTP/2 or HTTP/3 stream, which has the decoded header.
///
/// # Safety
/// The request must be live.
unsafe fn stream_pool(request: Request) -> Option<*mut ngx_pool_t> {
    if !request.is_multiplexed() {
        return None;
    }
    // SAFETY: a live request; of HTTP/3, each stream is a connection with its pool.
    unsafe {
        #[cfg(ngx_feature = "http_v2")]
        if let Some(stream) = request.get().stream.as_ref() {
            return Some(stream.pool).filter(|pool| !pool.is_null());
        }
        Some((*request.connection()).pool).filter(|pool| !pool.is_null())
    }
}

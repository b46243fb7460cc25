//! One buffer of a chain.

use std::ops::{Deref, DerefMut};

use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{ngx_buf_t, ngx_buf_tag_t};

/// One buffer; copies are the same buffer.
#[derive(Clone, Copy)]
pub struct Buf(*mut ngx_buf_t);

impl Buf {
    /// # Safety
    /// `buf` must be a buffer whose pool outlives the value.
    pub(in crate::nginx) unsafe fn from_ptr(buf: *mut ngx_buf_t) -> Buf {
        Buf(buf)
    }

    pub(in crate::nginx) fn as_ptr(self) -> *mut ngx_buf_t {
        self.0
    }

    pub(in crate::nginx) fn get(&self) -> &ngx_buf_t {
        // SAFETY: the buffer's pool outlives the value, by `from_ptr`'s contract.
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

    /// What says who made it.
    pub fn tag(&self) -> ngx_buf_tag_t {
        self.get().tag
    }

    /// Whether it is of those with this tag.
    pub fn has_tag(&self, tag: ngx_buf_tag_t) -> bool {
        self.tag() == tag
    }

    /// The number of bytes of a plain buffer: one that is in memory only, is not part of another
    /// one, and marks neither an end nor a flush. `None` for others.
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
        // SAFETY: a live buffer, by `from_ptr`'s contract. nginx gives a filter the buffers of its
        // input to mark them as sent.
        unsafe {
            (*self.0).pos = (*self.0).last;
            (*self.0).file_pos = (*self.0).file_last;
        }
    }

    /// Whether it ends the response, or a subrequest's part of it.
    pub fn is_last(&self) -> bool {
        self.get().last_buf() != 0 || self.get().last_in_chain() != 0
    }

    /// Whether it ends the whole response, not only a subrequest's part.
    pub fn ends_response(&self) -> bool {
        self.get().last_buf() != 0
    }

    pub fn set_flush(&mut self) {
        // SAFETY: a live buffer, by `from_ptr`'s contract, to whose fields no reference exists.
        unsafe { (*self.0).set_flush(1) }
    }

    pub fn is_flush(&self) -> bool {
        self.get().flush() != 0
    }

    /// Removes the mark of the response's end; an empty buffer becomes one that nginx ignores.
    pub fn clear_last(&mut self) {
        if !self.is_last() {
            return;
        }
        let is_empty = self.size() == 0;
        // SAFETY: as in `consume`.
        unsafe {
            let buf = &mut *self.0;
            buf.set_last_buf(0);
            buf.set_last_in_chain(0);
            if is_empty && buf.temporary() | buf.memory() | buf.mmap() == 0 {
                buf.set_sync(1);
            }
        }
    }

    /// A buffer without bytes, in `pool`, with the marks of this one. nginx passes it on only if it has a
    /// mark besides `last_in_chain`.
    pub(in crate::nginx) fn marks(self, pool: Pool) -> Result<Buf, OutOfMemory> {
        let of = self.get();
        // SAFETY: zero is valid for a buffer, which is ours.
        unsafe {
            let marks = pool.zeroed::<ngx_buf_t>()?.as_mut();
            marks.set_last_buf(of.last_buf());
            marks.set_last_in_chain(of.last_in_chain());
            marks.set_sync(of.sync() | of.last_in_chain());
            marks.set_flush(of.flush());
            Ok(Buf::from_ptr(marks))
        }
    }

    /// Marks the end of the response, or of a subrequest's part of it. nginx passes an empty buffer
    /// on only if it has a mark besides `last_in_chain`.
    pub fn set_end(&mut self, of_subrequest: bool) {
        let is_empty = self.size() == 0;
        // SAFETY: as in `set_flush`.
        unsafe {
            if of_subrequest {
                (*self.0).set_last_in_chain(1);
                if is_empty {
                    (*self.0).set_sync(1);
                }
            } else {
                (*self.0).set_last_buf(1);
            }
        }
    }
}

/// A buffer of this module's, which it fills; copies are the same buffer.
#[derive(Clone, Copy)]
pub struct OwnBuf(Buf);

impl OwnBuf {
    /// # Safety
    /// The memory from the buffer's `last` to its `end` must lie within one allocation, which
    /// nothing else writes to, or both must be null.
    pub(in crate::nginx) unsafe fn new(buf: Buf) -> OwnBuf {
        OwnBuf(buf)
    }

    /// Appends bytes, as many as fit; returns their number.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: only this module writes to the memory from `last` to `end`, and both lie within one
        // allocation, or are null together: `new`'s contract.
        unsafe {
            let buf = &mut *self.0.as_ptr();
            let room = buf.end.offset_from(buf.last).max(0) as usize;
            let len = room.min(bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.last, len);
            buf.last = buf.last.add(len);
            len
        }
    }

    /// Appends one byte, if it fits.
    pub fn push(&mut self, byte: u8) {
        // SAFETY: as in `write`.
        unsafe {
            let buf = &mut *self.0.as_ptr();
            if buf.last < buf.end {
                buf.last.write(byte);
                buf.last = buf.last.add(1);
            }
        }
    }

    /// How many more bytes fit in.
    pub fn spare_capacity(&self) -> usize {
        let buf = self.get();
        // SAFETY: as in `write`.
        unsafe { buf.end.offset_from(buf.last).max(0) as usize }
    }
}

impl Deref for OwnBuf {
    type Target = Buf;

    fn deref(&self) -> &Buf {
        &self.0
    }
}

impl DerefMut for OwnBuf {
    fn deref_mut(&mut self) -> &mut Buf {
        &mut self.0
    }
}

//! Memory pools. Every allocation can fail, and says so.

use std::ffi::c_void;
use std::mem::{align_of, size_of};
use std::ptr::NonNull;

use export::callback;

use crate::nginx::core::strings::PoolStr;
use crate::nginx::sys::{
    NGX_ALIGNMENT, ngx_palloc, ngx_pnalloc, ngx_pool_cleanup_t, ngx_pool_t, ngx_str_t,
};

pub use codec::fallible::OutOfMemory;

/// An nginx pool; copies are the same pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pool(NonNull<ngx_pool_t>);

impl Pool {
    /// # Safety
    /// `pool` must be a live nginx pool that outlives the value.
    pub unsafe fn from_ptr(pool: *mut ngx_pool_t) -> Option<Pool> {
        NonNull::new(pool).map(Pool)
    }

    pub fn as_ptr(self) -> *mut ngx_pool_t {
        self.0.as_ptr()
    }

    /// `len` bytes, uninitialised; the pool owns them.
    pub fn bytes(self, len: usize) -> Result<NonNull<u8>, OutOfMemory> {
        may_fail()?;
        // SAFETY: the pool is live by `from_ptr`'s contract.
        let data = unsafe { ngx_pnalloc(self.as_ptr(), len.max(1)) };
        NonNull::new(data.cast()).ok_or(OutOfMemory)
    }

    /// `len` bytes, uninitialised and aligned for any of nginx's types; the pool owns them.
    #[inline(always)]
    pub fn bytes_aligned(self, len: usize) -> Result<NonNull<u8>, OutOfMemory> {
        may_fail()?;
        match self.rest_of_block(len) {
            Some(data) => Ok(data),
            None => self.allocate(len),
        }
    }

    /// As [`Pool::bytes_aligned`], from what the pool's current block has left: what `ngx_palloc` does first,
    /// without the call.
    #[inline(always)]
    fn rest_of_block(self, len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the pool is live by `from_ptr`'s contract, and so is its current block, of which nobody has what is
        // between `last` and `end`, neither of them null.
        unsafe {
            let (pool, block) = (self.as_ptr(), (*self.as_ptr()).current);
            let data = (*block).d.last.map_addr(|last| last.next_multiple_of(NGX_ALIGNMENT));
            let room = (*block).d.end.addr().checked_sub(data.addr())?;
            if len > room || len > (*pool).max {
                return None;
            }
            (*block).d.last = data.add(len);
            Some(NonNull::new_unchecked(data))
        }
    }

    #[inline(never)]
    fn allocate(self, len: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: the pool is live by `from_ptr`'s contract.
        let data = unsafe { ngx_palloc(self.as_ptr(), len.max(1)) };
        NonNull::new(data.cast()).ok_or(OutOfMemory)
    }

    /// Has nginx call `handler` with `data` when the pool is destroyed, before what it was given earlier.
    ///
    /// # Safety
    /// `handler` must be safe to call with `data` then.
    #[inline(always)]
    pub(in crate::nginx) unsafe fn call_at_end(
        self,
        handler: unsafe extern "C" fn(*mut c_void),
        data: *mut c_void,
    ) -> Result<(), OutOfMemory> {
        const { assert!(align_of::<ngx_pool_cleanup_t>() <= NGX_ALIGNMENT) };
        let entry: NonNull<ngx_pool_cleanup_t> =
            self.bytes_aligned(size_of::<ngx_pool_cleanup_t>())?.cast();
        // SAFETY: the entry is fresh memory of its size; the pool is live by `from_ptr`'s contract, and keeps its
        // entries in a list.
        unsafe {
            let first = &mut (*self.as_ptr()).cleanup;
            entry.write(ngx_pool_cleanup_t { handler: Some(handler), data, next: *first });
            *first = entry.as_ptr();
        }
        Ok(())
    }

    /// A copy of `bytes`, followed by a NUL that its length does not count.
    pub fn copy_str(self, bytes: &[u8]) -> Result<ngx_str_t, OutOfMemory> {
        let len = bytes.len().checked_add(1).ok_or(OutOfMemory)?;
        let data = self.bytes(len)?;
        // SAFETY: `data` has room for `bytes` and the NUL, and is fresh, so they do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_ptr(), bytes.len());
            data.as_ptr().add(bytes.len()).write(0);
        }
        Ok(ngx_str_t { len: bytes.len(), data: data.as_ptr() })
    }

    /// A copy of a header's name, and one of it in lower case; a NUL follows each.
    pub fn copy_name(self, name: &[u8]) -> Result<(ngx_str_t, *mut u8), OutOfMemory> {
        let len = name.len();
        let room = len.checked_add(1).and_then(|size| size.checked_mul(2)).ok_or(OutOfMemory)?;
        let data = self.bytes(room)?.as_ptr();
        // SAFETY: `data` has room for both with their NULs, and is fresh: nothing overlaps.
        unsafe {
            let lower = data.add(len + 1);
            for (at, byte) in name.iter().enumerate() {
                data.add(at).write(*byte);
                lower.add(at).write(byte.to_ascii_lowercase());
            }
            data.add(len).write(0);
            lower.add(len).write(0);
            Ok((ngx_str_t { len, data }, lower))
        }
    }

    /// The pieces as one string, followed by a NUL that its length does not count.
    pub fn concat(self, pieces: &[&[u8]]) -> Result<PoolStr, OutOfMemory> {
        let add = |len: usize, piece: &&[u8]| len.checked_add(piece.len());
        let len = pieces.iter().try_fold(0, add).ok_or(OutOfMemory)?;
        let data = self.bytes(len.checked_add(1).ok_or(OutOfMemory)?)?.as_ptr();
        // SAFETY: `data` has room for all pieces and a NUL, and is fresh, so nothing overlaps. The
        // string lives as long as the pool, like every `PoolStr`.
        unsafe {
            let mut end = data;
            for piece in pieces {
                std::ptr::copy_nonoverlapping(piece.as_ptr(), end, piece.len());
                end = end.add(piece.len());
            }
            end.write(0);
            Ok(PoolStr::new(ngx_str_t { len, data }))
        }
    }

    /// A zeroed `T`; for nginx's own plain structures, whose zero pattern is valid.
    ///
    /// # Safety
    /// The all-zero bit pattern must be a valid `T`.
    #[inline(always)]
    pub unsafe fn zeroed<T>(self) -> Result<NonNull<T>, OutOfMemory> {
        const { assert!(align_of::<T>() <= NGX_ALIGNMENT) };
        let data: NonNull<T> = self.bytes_aligned(size_of::<T>())?.cast();
        // SAFETY: fresh memory of that size.
        unsafe { data.write_bytes(0, 1) };
        Ok(data)
    }

    /// Moves `value` into the pool; it is dropped when the pool is destroyed.
    pub fn own<T: 'static>(self, value: T) -> Result<NonNull<T>, OutOfMemory> {
        const { assert!(align_of::<Owned<T>>() <= NGX_ALIGNMENT) };
        let slot: NonNull<Owned<T>> = self.bytes_aligned(size_of::<Owned<T>>())?.cast();
        // SAFETY: the slot is fresh memory of its size, and written before the pool can be destroyed; `drop_owned`
        // drops what is there, once.
        unsafe {
            self.call_at_end(drop_owned, slot.as_ptr().cast())?;
            slot.write(Owned { drop: drop_value::<T>, value });
            Ok(NonNull::new_unchecked(&raw mut (*slot.as_ptr()).value))
        }
    }
}

/// Fails where a test has injected a fault.
#[cfg(feature = "fault-injection")]
pub(in crate::nginx) fn may_fail() -> Result<(), OutOfMemory> {
    crate::nginx::core::fault::allocate()
}

/// Without fault injection, only nginx's own allocations fail.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(in crate::nginx) fn may_fail() -> Result<(), OutOfMemory> {
    Ok(())
}

/// What [`Pool::own`] puts into the pool.
#[repr(C)]
struct Owned<T> {
    drop: unsafe fn(*mut c_void),
    value: T,
}

/// Whether `entry` is a cleanup that [`Pool::own`] has added.
pub(in crate::nginx) fn is_owned(entry: &ngx_pool_cleanup_t) -> bool {
    let ours: unsafe extern "C" fn(*mut c_void) = drop_owned;
    entry.handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, ours))
}

/// Drops what [`Pool::own`] moved in.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn drop_owned(data: *mut c_void) {
    // SAFETY: nginx calls a pool's cleanup once, with the data that `own` wrote, which begin with
    // the function for their type.
    unsafe { data.cast::<unsafe fn(*mut c_void)>().read()(data) }
}

/// # Safety
/// `data` must point to an `Owned<T>` that is not used afterwards.
unsafe fn drop_value<T>(data: *mut c_void) {
    // SAFETY: `data` points to an `Owned<T>` whose value nothing uses afterwards, the contract of
    // this function.
    unsafe { (&raw mut (*data.cast::<Owned<T>>()).value).drop_in_place() }
}

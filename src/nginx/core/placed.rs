//! Values in spare memory of requests' pools, so that a request that waits takes hardly more memory than
//! what nginx has allocated for it.
//!
//! nginx allocates a pool's memory in blocks, and the last one is seldom full. A value there is in an `Rc`
//! like any other, and may outlive the pool: code on the C stack often has a share of a context when its
//! request ends. Then the block is taken out of the pool as that is destroyed, and freed once nothing in it
//! lives any more.
//!
//! Invariants: memory of [`ALIGNMENT`] is preceded by a pointer to the [`Placement`] that it counts for,
//! or by null if it is memory of its own. A block in which a value lives is not freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{NonNull, null, null_mut};
use std::rc::Rc;

use export::callback;

use crate::nginx::core::pool::{Pool, may_fail};
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::sys::{ngx_pool_cleanup_add, ngx_pool_cleanup_t, ngx_pool_t};
use crate::{own_thread, per_thread};

/// The alignment by which the allocator knows a value that may be placed: `#[repr(align(32))]`.
pub(super) const ALIGNMENT: usize = 32;
/// What of a block is left to nginx, which would need another one.
const LEFT: usize = 1024;
/// A pool with more cleanups is not searched for a placement.
const MAX_CLEANUPS: usize = 32;

/// What is known of a block with values in it. It is in that block itself.
struct Placement {
    block: NonNull<ngx_pool_t>,
    /// The pool of the block; null once that is being destroyed.
    pool: Cell<*mut ngx_pool_t>,
    /// How many values in the block live.
    live: Cell<usize>,
    /// The next one whose block is to be freed.
    next: Cell<*const Placement>,
}

per_thread! {
    /// Where the next value goes; null for memory of its own.
    static NEXT: Cell<*const Placement> = Cell::new(null());
}

own_thread! {
    /// The blocks that are to be freed at the end of this round of the event loop: while nginx destroys
    /// a pool, it reads lists that are in the pool's blocks.
    static UNUSED: Cell<*const Placement> = Cell::new(null());
    /// What frees them then, if there are any.
    static FREEING: Cell<Option<Box<Timer<Freeing>>>> = Cell::new(None);
}

/// How many values of a type have memory of their own that is kept for others when they end.
pub struct Quota {
    used: Cell<usize>,
    max: usize,
}

impl Quota {
    pub const fn new(max: usize) -> Quota {
        Quota { used: Cell::new(0), max }
    }

    fn take(&'static self) -> Option<Kept> {
        let used = self.used.get();
        (used < self.max).then(|| {
            self.used.set(used + 1);
            Kept(self)
        })
    }
}

/// Counts for its quota.
pub struct Kept(&'static Quota);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.used.set(self.0.used.get().saturating_sub(1));
    }
}

/// What memory a value has; the value keeps this.
pub enum Memory {
    /// Its own, to be kept for another value of its type.
    Kept(#[expect(dead_code, reason = "it counts until it is dropped")] Kept),
    /// Its own.
    Own,
    /// In a request's pool.
    Placed(Place),
}

/// Where a value is placed. Whoever has one keeps the placement alive: a value there, or the pool.
pub struct Place(NonNull<Placement>);

impl Memory {
    /// Memory for a `T`: kept memory while there is little of it, then spare memory of `pool`.
    pub fn new<T>(quota: &'static Quota, pool: Option<Pool>) -> Memory {
        if let Some(kept) = quota.take() {
            return Memory::Kept(kept);
        }
        let placement = pool.and_then(|pool| Placement::of(pool, size_needed::<T>() + LEFT));
        placement.map_or(Memory::Own, |placement| Memory::Placed(Place(placement)))
    }

    /// Memory for a `T`: kept memory while there is little of it, then beside the value that has `self`.
    pub fn beside<T>(&self, quota: &'static Quota) -> Memory {
        if let Some(kept) = quota.take() {
            return Memory::Kept(kept);
        }
        match self {
            // SAFETY: the value that has `self` keeps the placement.
            Memory::Placed(Place(at)) if unsafe { at.as_ref() }.has_room(size_needed::<T>()) => {
                Memory::Placed(Place(*at))
            }
            _ => Memory::Own,
        }
    }

    /// Whether the memory is to be kept for another value.
    #[inline(always)]
    pub fn is_kept(&self) -> bool {
        matches!(self, Memory::Kept(_))
    }

    /// Puts what `make` makes there.
    pub fn fill<T>(self, make: impl FnOnce(Memory) -> T) -> Rc<T> {
        const { assert!(align_of::<T>() == ALIGNMENT) };
        let next = match &self {
            Memory::Placed(Place(at)) => at.as_ptr().cast_const(),
            Memory::Kept(_) | Memory::Own => null(),
        };
        let value = make(self);
        NEXT.set(next);
        let made = Rc::new(value);
        NEXT.set(null());
        made
    }
}

/// How much of a block a `T` in an `Rc` takes at most: before it are the counts, the pointer to the
/// placement, and what aligns it.
const fn size_needed<T>() -> usize {
    size_of::<T>() + 3 * ALIGNMENT
}

impl Placement {
    /// The placement of a block of `pool` that has `size` bytes to spare.
    fn of(pool: Pool, size: usize) -> Option<NonNull<Placement>> {
        // SAFETY: a live pool, whose blocks and cleanups are nginx's own lists in it.
        unsafe {
            let all = pool.as_ptr();
            let mut block = (*all).current;
            // The first one has the pool itself in it, and cannot outlive that.
            while block == all || !block.is_null() && spare(block) < size + size_of::<Placement>() {
                block = (*block).d.next;
            }
            let block = NonNull::new(block)?;
            let mut cleanup = (*all).cleanup;
            for _ in 0..MAX_CLEANUPS {
                let Some(entry) = cleanup.as_ref() else { return Placement::new(pool, block) };
                if let Some(placement) = in_cleanup(entry)
                    && placement.as_ref().block == block
                {
                    return Some(placement);
                }
                cleanup = entry.next;
            }
            None
        }
    }

    /// # Safety
    /// `block` must be a block of `pool` other than the first.
    unsafe fn new(pool: Pool, block: NonNull<ngx_pool_t>) -> Option<NonNull<Placement>> {
        may_fail().ok()?;
        // SAFETY: a live pool and its block, the contract of this function; the entry is nginx's own
        // structure, whose handler is set once its data is written.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(pool.as_ptr(), 0).as_mut()?;
            let placement = carve(block, size_of::<Placement>(), 0)?.cast::<Placement>();
            placement.write(Placement {
                block,
                pool: Cell::new(pool.as_ptr()),
                live: Cell::new(0),
                next: Cell::new(null()),
            });
            cleanup.data = placement.as_ptr().cast();
            cleanup.handler = Some(pool_ends);
            Some(placement)
        }
    }

    fn has_room(&self, size: usize) -> bool {
        // SAFETY: the block lives as long as the placement in it.
        !self.pool.get().is_null() && unsafe { spare(self.block.as_ptr()) } >= size
    }

    /// Takes the block out of its pool, which is being destroyed.
    fn leave(&self) {
        let pool = self.pool.replace(null_mut());
        if self.live.get() == 0 {
            return;
        }
        let block = self.block.as_ptr();
        // SAFETY: nginx calls a cleanup before it frees any block of the pool; the blocks are a list.
        unsafe {
            (*pool).current = pool;
            let mut before = pool;
            while !before.is_null() && (*before).d.next != block {
                before = (*before).d.next;
            }
            debug_assert!(!before.is_null(), "a block of the pool");
            if let Some(before) = before.as_mut() {
                before.d.next = (*block).d.next;
            }
        }
    }

    /// A value there is gone.
    fn forget_one(&self) {
        let left = self.live.get() - 1;
        self.live.set(left);
        if left == 0 && self.pool.get().is_null() {
            self.next.set(UNUSED.replace(self));
            if self.next.get().is_null() {
                let timer = Timer::new(Freeing, |_| free_unused());
                timer.post();
                FREEING.set(Some(timer));
            }
        }
    }
}

/// # Safety
/// `block` must be a live block of a pool.
unsafe fn spare(block: *mut ngx_pool_t) -> usize {
    // SAFETY: the contract of this function; nginx keeps `last` below `end`.
    unsafe { (*block).d.end as usize - (*block).d.last as usize }
}

/// Takes `size` bytes of the block for a value, behind `head` bytes.
///
/// # Safety
/// `block` must be a live block of a pool.
unsafe fn carve(block: NonNull<ngx_pool_t>, size: usize, head: usize) -> Option<NonNull<u8>> {
    // SAFETY: the contract of this function; what lies between `last` and `end` is nobody's yet.
    unsafe {
        let data = &mut (*block.as_ptr()).d;
        let skipped = head + data.last.wrapping_add(head).align_offset(ALIGNMENT);
        if spare(block.as_ptr()) < skipped.checked_add(size)? {
            return None;
        }
        let start = data.last.add(skipped);
        data.last = start.add(size);
        NonNull::new(start)
    }
}

/// The placement that a pool's cleanup is for.
fn in_cleanup(entry: &ngx_pool_cleanup_t) -> Option<NonNull<Placement>> {
    let ours: unsafe extern "C" fn(*mut c_void) = pool_ends;
    let is_it = entry.handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, ours));
    if is_it { NonNull::new(entry.data.cast()) } else { None }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn pool_ends(data: *mut c_void) {
    // SAFETY: nginx calls a pool's cleanup once, with the placement that is in one of its blocks.
    unsafe { &*data.cast::<Placement>() }.leave();
}

/// Marks the timer that frees blocks.
#[derive(Clone)]
struct Freeing;

impl Waiter for Freeing {
    fn abandon(&self) {}
}

fn free_unused() {
    FREEING.set(None);
    let mut next = UNUSED.replace(null());
    // SAFETY: each placement is in a block that no pool has any more, in which nothing lives. malloc has
    // given the block to nginx; nothing of it is read after it is freed.
    unsafe {
        while let Some(placement) = next.as_ref() {
            next = placement.next.get();
            libc::free(placement.block.as_ptr().cast());
        }
    }
}

/// The size of memory of its own for `layout`, with what precedes it.
fn with_head(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(ALIGNMENT)?;
    Layout::from_size_align(size, ALIGNMENT).ok()
}

/// Where the pointer to the placement is.
///
/// # Safety
/// `memory` must be memory that [`allocate`] gives.
unsafe fn head(memory: *mut u8) -> *mut *const Placement {
    // SAFETY: at least so much precedes the memory.
    unsafe { memory.cast::<*const Placement>().sub(1) }
}

/// Memory for a value of [`ALIGNMENT`]; null if there is none.
///
/// # Safety
/// The layout must have a size above zero.
pub(super) unsafe fn allocate(layout: Layout) -> *mut u8 {
    let placement = NEXT.replace(null());
    // SAFETY: whoever set NEXT keeps the placement, and with it the block. Both kinds of memory are of
    // the layout's size, and have room before it for the pointer.
    unsafe {
        if let Some(placement) = placement.as_ref()
            && let Some(memory) =
                carve(placement.block, layout.size(), size_of::<*const Placement>())
        {
            placement.live.set(placement.live.get() + 1);
            head(memory.as_ptr()).write(placement);
            return memory.as_ptr();
        }
        let Some(whole) = with_head(layout) else { return null_mut() };
        let start = System.alloc(whole);
        if start.is_null() {
            return null_mut();
        }
        let memory = start.add(ALIGNMENT);
        head(memory).write(null());
        memory
    }
}

/// Gives back what [`allocate`] has given for `layout`.
///
/// # Safety
/// As for [`GlobalAlloc::dealloc`].
pub(super) unsafe fn free(memory: *mut u8, layout: Layout) {
    // SAFETY: memory of `allocate`'s, the contract of this function. A placement is in the block of its
    // values.
    unsafe {
        match head(memory).read().as_ref() {
            Some(placement) => placement.forget_one(),
            None => {
                if let Some(whole) = with_head(layout) {
                    System.dealloc(memory.sub(ALIGNMENT), whole);
                }
            }
        }
    }
}

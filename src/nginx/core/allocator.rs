//! Rust's allocator in this module: malloc, with a reserve of small pieces for when malloc fails.
//!
//! Rust ends the process when an infallible allocation fails: a `Box`, an `Rc`, a node of a map.
//! What a script or a peer can make large is allocated by way of [`codec::fallible`]. What it can
//! only make many of is small, and is preceded by [`check`]. While malloc fails, small pieces come
//! from the reserve, so that work under way can end in order, and [`check`] refuses to begin new
//! work.
//!
//! Invariant: a piece of the reserve has an owner exactly while its bit in [`TAKEN`] is set.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use codec::fallible::OutOfMemory;

/// The size of a piece: more than any object of this module other than a buffer.
const PIECE: usize = 1024;
const WORDS: usize = 16;
const PIECES: usize = WORDS * 64;
/// What pieces are aligned to.
const ALIGNMENT: usize = 64;
/// How many bytes malloc must be able to give before new work may begin.
const ENOUGH: usize = 64 * 1024;

#[repr(C, align(64))]
struct Reserve(UnsafeCell<[u8; PIECE * PIECES]>);

// SAFETY: each piece is used by its owner only, and the bits in `TAKEN` are atomic.
unsafe impl Sync for Reserve {}

/// All zeroes: it takes no physical memory until it is used.
static RESERVE: Reserve = Reserve(UnsafeCell::new([0; PIECE * PIECES]));
/// A bit for each piece that has an owner.
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
/// The number of pieces that have an owner.
static USED: AtomicUsize = AtomicUsize::new(0);

/// To be called before a script begins something that it can begin any number of times: fails
/// while malloc has no memory. Costs one load, unless the reserve is in use.
#[inline]
pub fn check() -> Result<(), OutOfMemory> {
    if is_in_reserve() { probe() } else { Ok(()) }
}

/// Whether pieces of the reserve are in use: free lists must not keep those.
#[inline]
pub fn is_in_reserve() -> bool {
    USED.load(Ordering::Relaxed) != 0
}

/// Whether malloc has memory again.
#[cold]
fn probe() -> Result<(), OutOfMemory> {
    // SAFETY: free takes what malloc gave, or null.
    unsafe {
        let memory = std::hint::black_box(libc::malloc(ENOUGH));
        libc::free(memory);
        if memory.is_null() { Err(OutOfMemory) } else { Ok(()) }
    }
}

/// Has malloc return its free memory to the system.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes no pointer.
    unsafe {
        libc::malloc_trim(0);
    }
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: memory of malloc's goes back to malloc, a piece of the reserve to the reserve; the
// address tells which it is. Both have at least the size and alignment of the layout. Nothing here
// unwinds.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout has a size above zero, by `GlobalAlloc`'s contract.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() { take(layout) } else { memory }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`; a piece has at least the layout's size.
        unsafe {
            let memory = System.alloc_zeroed(layout);
            if !memory.is_null() {
                return memory;
            }
            let piece = take(layout);
            if !piece.is_null() {
                piece.write_bytes(0, layout.size());
            }
            piece
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match number(memory) {
            // SAFETY: `memory` came from this allocator with this layout, by `GlobalAlloc`'s
            // contract; it is not in the reserve, so malloc gave it.
            None => unsafe { System.dealloc(memory, layout) },
            Some(number) => give_back(number),
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the new size is valid for a layout, by `GlobalAlloc`'s contract.
        unsafe {
            if number(memory).is_none() {
                let moved = System.realloc(memory, layout, size);
                if !moved.is_null() {
                    return moved;
                }
            } else if size <= PIECE {
                return memory;
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(memory, layout.size().min(size));
                self.dealloc(memory, layout);
            }
            moved
        }
    }
}

/// The number of the piece of the reserve at `memory`, if it is one.
#[inline(always)]
fn number(memory: *mut u8) -> Option<usize> {
    let offset = (memory as usize).wrapping_sub(RESERVE.0.get() as usize);
    (offset < PIECE * PIECES).then_some(offset / PIECE)
}

/// Takes a piece of the reserve; null if none is free, or a piece is too small.
#[cold]
fn take(layout: Layout) -> *mut u8 {
    if layout.size() > PIECE || layout.align() > ALIGNMENT {
        return null_mut();
    }
    for (at, word) in TAKEN.iter().enumerate() {
        let mut taken = word.load(Ordering::Relaxed);
        while taken != u64::MAX {
            let bit = taken.trailing_ones() as usize;
            let before = word.fetch_or(1 << bit, Ordering::Acquire);
            if before & (1 << bit) == 0 {
                USED.fetch_add(1, Ordering::Relaxed);
                // SAFETY: within the reserve. The bit was clear, so the piece was free; now it is
                // taken.
                return unsafe { RESERVE.0.get().cast::<u8>().add((at * 64 + bit) * PIECE) };
            }
            taken = before;
        }
    }
    null_mut()
}

#[cold]
fn give_back(number: usize) {
    if let Some(word) = TAKEN.get(number / 64) {
        word.fetch_and(!(1 << (number % 64)), Ordering::Release);
        USED.fetch_sub(1, Ordering::Relaxed);
    }
}

//! `lua_max_memory`: LuaJIT's allocator within a limit. An allocation that would go beyond it fails, which is
//! Lua's error "not enough memory". The garbage counts too: so it is collected before that, at the end of a
//! round of the event loop.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use export::callback;
use mlua::ffi;

use super::memory::Collection;
use super::state::State;
use crate::per_thread;

per_thread! {
    /// Whether this module collects the garbage of a VM.
    static COLLECTING: Cell<bool> = Cell::new(false);
}

/// Does `work`, which collects the garbage of a VM. The collector may take half as much again as the limit
/// meanwhile: it fails for good where it gets no new table of strings, which is half as large as the old one.
pub(super) fn while_collecting(work: impl FnOnce()) {
    let outer = COLLECTING.replace(true);
    work();
    COLLECTING.set(outer);
}

/// The allocator of a limited VM.
pub(super) struct Limit {
    allocate: ffi::lua_Alloc,
    data: *mut c_void,
    max: usize,
    used: Cell<usize>,
    /// The garbage is collected once more bytes than this are in use; never more than `max`.
    mark: Cell<usize>,
    /// Once fewer bytes than this are in use, the mark is too high: much has been freed. 0 for the first
    /// mark, which is never too high.
    low: Cell<usize>,
    /// Whether the mark has been passed, for the owner of a VM that the event loop does not collect the garbage of.
    passed: Cell<bool>,
    /// The main coroutine of a VM that the event loop can collect the garbage of.
    main: Cell<Option<State>>,
    collection: Collection,
}

impl Limit {
    /// Limits a new VM.
    ///
    /// # Safety
    /// The value must live until [`Limit::remove`].
    pub(super) unsafe fn install(state: State, max: usize) -> Box<Limit> {
        let mut data = null_mut();
        // SAFETY: a live VM; the new allocator gets the box, which does not move, and which the VM's owner
        // keeps until it takes the allocator out.
        unsafe {
            let allocate = ffi::lua_getallocf(state.as_ptr(), &mut data);
            let limit = Box::new(Limit {
                allocate,
                data,
                max,
                used: Cell::new(state.bytes_in_use()),
                mark: Cell::new(first_mark(max)),
                low: Cell::new(0),
                passed: Cell::new(false),
                main: Cell::new(None),
                collection: Collection::default(),
            });
            let its: *const Limit = &raw const *limit;
            ffi::lua_setallocf(state.as_ptr(), allocate_within, its.cast_mut().cast());
            limit
        }
    }

    /// Gives the VM its own allocator back: LuaJIT frees all memory at once if it closes a VM with that.
    pub(super) fn remove(&self, state: State) {
        // SAFETY: the VM that `install` got, and its own allocator.
        unsafe { ffi::lua_setallocf(state.as_ptr(), self.allocate, self.data) }
    }

    /// Has the event loop collect the garbage from now on; only in nginx's main thread.
    pub(super) fn collect_in_time(&self, main: State) {
        self.main.set(Some(main));
    }

    /// Whether the garbage is to be collected, which the event loop does not do; once.
    pub(super) fn takes_passed(&self) -> bool {
        self.passed.take()
    }

    /// Whether there is room for `more` bytes.
    #[inline(always)]
    fn has_room(&self, more: usize) -> bool {
        let wanted = self.used.get().saturating_add(more);
        wanted <= self.mark.get() || self.pass_mark(wanted)
    }

    /// More is in use, or is about to be, than the mark: has the garbage collected, and sets the
    /// mark higher. Whether there is room for so much.
    #[cold]
    fn pass_mark(&self, wanted: usize) -> bool {
        self.set_mark(wanted);
        if COLLECTING.get() {
            // Not again for what this collection takes itself.
            return wanted <= self.max.saturating_add(self.max / 2);
        }
        match self.main.get() {
            Some(main) => self.collection.begin_soon(main),
            None => self.passed.set(true),
        }
        wanted <= self.max
    }

    /// With so much in use, the garbage is worth a look once a sixteenth of the limit more is.
    #[cold]
    fn set_mark(&self, used: usize) {
        let (first, step) = (first_mark(self.max), self.max / 16);
        let mark = used.saturating_add(step).clamp(first, self.max);
        self.mark.set(mark);
        self.low.set(if mark == first { 0 } else { used.min(self.max).saturating_sub(step) });
    }
}

/// From three quarters of the limit on, it is worth the time to look for garbage.
fn first_mark(max: usize) -> usize {
    max / 4 * 3
}

/// # Safety
/// Only LuaJIT may call this, with the data that `install` gave it.
#[callback(unguarded = "it adds and compares numbers")]
unsafe extern "C" fn allocate_within(
    limit: *mut c_void,
    old: *mut c_void,
    old_size: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: `install` gave LuaJIT the limit, which lives as long as it has this function.
    let limit = unsafe { &*limit.cast::<Limit>() };
    if size > old_size && !limit.has_room(size - old_size) {
        return null_mut();
    }
    // SAFETY: LuaJIT's own arguments, for its own allocator.
    let new = unsafe { (limit.allocate)(limit.data, old, old_size, size) };
    if size == 0 || !new.is_null() {
        let used = limit.used.get().wrapping_add(size).wrapping_sub(old_size);
        limit.used.set(used);
        if used < limit.low.get() {
            limit.set_mark(used);
        }
    }
    new
}

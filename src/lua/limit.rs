//! `lua_max_memory`: LuaJIT's allocator within a limit. An allocation that would go beyond it fails, which is
//! Lua's error "not enough memory". The garbage counts too: so it is collected before that, at the end of a
//! round of the event loop.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use mlua::ffi;

use super::memory::Collection;
use super::state::State;

/// The allocator of a limited VM.
pub(super) struct Limit {
    allocate: ffi::lua_Alloc,
    data: *mut c_void,
    max: usize,
    used: Cell<usize>,
    /// What the garbage is collected beyond.
    mark: Cell<usize>,
    /// The main coroutine of a VM that the event loop can collect the garbage of.
    main: Cell<Option<State>>,
    collection: Collection,
}

impl Limit {
    /// Limits a new VM. The value must live until [`Limit::remove`].
    pub(super) fn install(state: State, max: usize) -> Box<Limit> {
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

    /// Whether there is room for `more` bytes.
    #[inline(always)]
    fn has_room(&self, more: usize) -> bool {
        let wanted = self.used.get().saturating_add(more);
        if wanted > self.mark.get() {
            self.pass_mark(wanted);
        }
        wanted <= self.max
    }

    #[cold]
    fn pass_mark(&self, wanted: usize) {
        self.mark.set(wanted.saturating_add(self.max / 16));
        if let Some(main) = self.main.get() {
            self.collection.begin_soon(main);
        }
    }
}

/// From three quarters on, garbage is worth the time that it takes to find it.
fn first_mark(max: usize) -> usize {
    max / 4 * 3
}

/// # Safety
/// Only LuaJIT may call this, with the data that `install` gave it.
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
        if used < limit.max / 2 {
            limit.mark.set(first_mark(limit.max));
        }
    }
    new
}

//! Values that tables keep under numbers of `luaL_ref`, with a type for each table: the number of one is never
//! taken for that of another.

use std::ffi::c_void;
use std::fmt;
use std::num::NonZeroI32;
use std::sync::atomic::{AtomicU32, Ordering};

use mlua::ffi;

use super::kind::Kind;
use super::state::{REGISTRY, State};
use crate::nginx::core::free_list::FreeList;

/// The number of a value in a table: the code cache, or lua-resty-core's table of `ngx.ctx` tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference(NonZeroI32);

impl Reference {
    /// The reference that Lua code knows as `number`; `None` for a number that is none.
    pub fn from_number(number: i32) -> Option<Reference> {
        NonZeroI32::new(number).filter(|number| number.get() > 0).map(Reference)
    }

    #[inline(always)]
    pub fn number(self) -> i32 {
        self.0.get()
    }
}

/// What keeps a table or a function in the registry until it is given to [`State::release`]. It knows what it keeps:
/// so it gives up nothing else, whichever VM's stack it is given to.
#[derive(Debug)]
pub struct Anchor {
    number: NonZeroI32,
    kept: *const c_void,
}

/// What keeps a coroutine in the registry until both are given to [`super::Vm::release_thread`]. It knows of which VM it
/// is: another one gives up nothing.
#[derive(Debug)]
pub struct ThreadAnchor {
    number: NonZeroI32,
    vm: u32,
}

/// The numbers in the registry by which a VM keeps its coroutines. One that is given up is kept for the next coroutine:
/// that costs less than `luaL_unref` and `luaL_ref`.
pub(super) struct ThreadNumbers {
    vm: u32,
    spare: FreeList<NonZeroI32>,
}

/// The most numbers that a VM keeps.
const MAX_SPARE: usize = 1024;

impl ThreadNumbers {
    pub(super) fn new() -> ThreadNumbers {
        static VMS: AtomicU32 = AtomicU32::new(0);
        let vm = VMS.fetch_add(1, Ordering::Relaxed);
        ThreadNumbers { vm, spare: FreeList::new(MAX_SPARE) }
    }

    /// Pops the coroutine on top of a stack of the VM, and keeps it; raises without memory.
    pub(super) fn anchor(&self, state: &mut State) -> ThreadAnchor {
        debug_assert_eq!(state.kind(-1), Kind::Thread, "what is to be kept");
        let number = match self.spare.take() {
            Some(number) => {
                state.raw_set_index(REGISTRY, number.get());
                number
            }
            None => state.make_ref(REGISTRY),
        };
        ThreadAnchor { number, vm: self.vm }
    }

    /// Gives up what keeps a coroutine, which may be garbage then. `main` is the VM's main coroutine.
    pub(super) fn release(&self, mut main: State, anchor: ThreadAnchor) {
        debug_assert_eq!(anchor.vm, self.vm, "an anchor of another VM");
        if anchor.vm != self.vm {
            return;
        }
        match self.spare.keep(anchor.number) {
            None => {
                // Not nil: `luaL_ref` would take the number for one that nobody has.
                main.push_bool(false);
                main.raw_set_index(REGISTRY, anchor.number.get());
            }
            // SAFETY: the registry, and the number of a value in it, of which nobody else has the anchor.
            Some(number) => unsafe { ffi::luaL_unref(main.as_ptr(), REGISTRY, number.get()) },
        }
    }
}

/// A coroutine to run code in.
pub struct Thread {
    pub state: State,
    /// What keeps it.
    pub anchor: ThreadAnchor,
}

impl Thread {
    /// It, as debug lines name it: a value of its own, so that the coroutine itself need not be in memory for a line
    /// that is not written.
    #[inline(always)]
    pub(super) fn shown(&self) -> impl fmt::Display + use<> {
        ShownThread { at: self.state, number: self.anchor.number }
    }
}

struct ShownThread {
    at: State,
    number: NonZeroI32,
}

impl fmt::Display for ShownThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p} (ref {})", self.at.as_ptr(), self.number)
    }
}

impl State {
    /// Pops the value on top, which is not nil, and gives it a number in `table`; raises without memory.
    pub fn new_ref(&mut self, table: i32) -> Reference {
        Reference(self.make_ref(table))
    }

    /// Pushes the value that `reference` is of.
    pub fn push_ref(self, table: i32, reference: Reference) {
        self.raw_get_index(table, reference.number());
    }

    /// Gives up a reference in `table`.
    pub fn unref(self, table: i32, reference: Reference) {
        // SAFETY: a table.
        unsafe { ffi::luaL_unref(self.as_ptr(), self.table(table), reference.number()) }
    }

    /// Pops the table or function on top, and keeps it in the registry; raises without memory.
    pub fn anchor(&mut self) -> Anchor {
        let kept = self.address(-1);
        debug_assert!(!kept.is_null(), "a value without an address");
        Anchor { number: self.make_ref(REGISTRY), kept }
    }

    /// Pushes the value that `anchor` keeps.
    #[inline(always)]
    pub fn push_anchored(self, anchor: &Anchor) {
        self.raw_get_index(REGISTRY, anchor.number.get());
    }

    /// Gives up a value of the registry, if it is the one that the anchor keeps: another one, as it would be in another
    /// VM, is somebody else's.
    pub fn release(mut self, anchor: Anchor) {
        let Anchor { number, kept } = anchor;
        self.raw_get_index(REGISTRY, number.get());
        let found = self.address(-1);
        self.pop(1);
        debug_assert_eq!(found, kept, "an anchor of another VM or value");
        if found == kept {
            // SAFETY: the registry, and the number of a value in it, of which nobody else has the anchor: `make_ref`
            // gives each number once, and neither kind of anchor can be copied.
            unsafe { ffi::luaL_unref(self.as_ptr(), REGISTRY, number.get()) }
        }
    }

    /// Pushes the coroutine that `anchor` keeps.
    #[cfg(not(openresty_luajit))]
    pub(super) fn push_anchored_thread(self, anchor: &ThreadAnchor) {
        self.raw_get_index(REGISTRY, anchor.number.get());
    }

    /// Where the table, function or coroutine at `index` is; null for other values.
    fn address(self, index: i32) -> *const c_void {
        // SAFETY: a checked index.
        unsafe { ffi::lua_topointer(self.as_ptr(), self.readable(index)) }
    }

    fn make_ref(&mut self, table: i32) -> NonZeroI32 {
        self.held(1);
        // SAFETY: a table, and a value.
        let number = unsafe { ffi::luaL_ref(self.as_ptr(), self.table(table)) };
        // Nil, which is not stored, has -1; no value has 0, the index of the free list.
        debug_assert!(number > 0, "a reference to nil");
        NonZeroI32::new(number).unwrap_or(NonZeroI32::MIN)
    }
}

//! Values that tables keep under numbers of `luaL_ref`, with a type for each table: the number of one is never
//! taken for that of another.

use std::ffi::c_void;
use std::fmt;
use std::num::NonZeroI32;

use mlua::ffi;

use super::kind::Kind;
use super::state::{REGISTRY, State};

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

/// What keeps a coroutine in the registry until both are given to [`State::release_thread`]. The coroutine itself says
/// what it keeps.
#[derive(Debug)]
pub struct ThreadAnchor(NonZeroI32);

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
        ShownThread { at: self.state, number: self.anchor.0 }
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

    /// Gives up a value of the registry.
    pub fn release(self, anchor: Anchor) {
        self.give_up(anchor.number, anchor.kept);
    }

    /// Pops the coroutine on top, and keeps it in the registry; raises without memory.
    pub fn anchor_thread(&mut self) -> ThreadAnchor {
        debug_assert_eq!(self.kind(-1), Kind::Thread, "what is to be kept");
        ThreadAnchor(self.make_ref(REGISTRY))
    }

    /// Pushes the coroutine that `anchor` keeps.
    #[cfg(not(openresty_luajit))]
    pub(super) fn push_anchored_thread(self, anchor: &ThreadAnchor) {
        self.raw_get_index(REGISTRY, anchor.0.get());
    }

    /// Gives up a coroutine, which may be garbage then.
    pub fn release_thread(self, thread: Thread) {
        self.give_up(thread.anchor.0, thread.state.as_ptr().cast_const().cast());
    }

    /// Gives up the registry's value of that number, if it is the one at `kept`: another one, as it would be in another
    /// VM, is somebody else's.
    fn give_up(mut self, number: NonZeroI32, kept: *const c_void) {
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

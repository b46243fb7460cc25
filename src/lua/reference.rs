//! Values that tables keep under numbers of `luaL_ref`, with a type for each table: the number of one is never
//! taken for that of another.

use std::fmt;
use std::num::NonZeroI32;

use mlua::ffi;

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

/// What keeps a value in the registry until it is given to [`State::release`].
#[derive(Debug)]
pub struct Anchor(NonZeroI32);

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

    /// Pops the value on top, which is not nil, and keeps it in the registry; raises without memory.
    pub fn anchor(&mut self) -> Anchor {
        Anchor(self.make_ref(REGISTRY))
    }

    /// Pushes the value that `anchor` keeps.
    #[inline(always)]
    pub fn push_anchored(self, anchor: &Anchor) {
        self.raw_get_index(REGISTRY, anchor.0.get());
    }

    /// Gives up a value of the registry. The anchor must be of this VM.
    pub fn release(self, anchor: Anchor) {
        // SAFETY: the registry, and a number that luaL_ref gave for it: an anchor is only made by
        // it, and given up once.
        unsafe { ffi::luaL_unref(self.as_ptr(), REGISTRY, anchor.0.get()) }
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

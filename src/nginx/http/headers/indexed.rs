//! Lists of headers in which headers are found by their names. Where a script changes or reads
//! thousands of them, one by one, an index spares each call the walk through the whole list.
//!
//! An index lasts for one run of Lua code at most, in which no other module takes headers out of a
//! list. If one has added headers, the list's end shows it, and the index is made anew. Short lists
//! have none, nor has a list that is not walked through again and again.

use std::cell::{Cell, RefCell};

use super::index::{Index, Unfit};
use super::list::HeaderList;
use super::node::Node;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::ngx_str_t;
use crate::own_thread;

/// Lists of fewer headers are walked through.
const LONG: usize = 64;
/// Making an index takes about as long as so many walks through the list.
const WALKS: u32 = 8;

/// Where the index of a request's list is, or of a response's: there is one of each at a time.
struct Slot {
    index: RefCell<Option<Index>>,
    /// How often a long list was walked through in this run of code.
    walks: Cell<u32>,
    /// Whether blank nodes are left out: in a response, a blank one is a header that has been
    /// cleared.
    drops_blank: bool,
}

own_thread! {
    static REQUEST: Slot = Slot::new(false);
    static RESPONSE: Slot = Slot::new(true);
    /// Whether there is anything to forget at the end of the run.
    static IN_USE: Cell<bool> = Cell::new(false);
}

/// To be called when a run of Lua code ends: what is done to the lists from then on, this file does
/// not see.
#[inline(always)]
pub fn forget_all() {
    if IN_USE.get() {
        empty_slots();
    }
}

/// Has [`forget_all`] empty everything at the end of the run.
#[cfg(nginx_header_links)]
pub(super) fn forget_later() {
    IN_USE.set(true);
}

#[cold]
fn empty_slots() {
    IN_USE.set(false);
    #[cfg(nginx_header_links)]
    super::values::forget_end();
    for slot in [&REQUEST, &RESPONSE] {
        slot.walks.set(0);
        slot.forget();
    }
}

impl Slot {
    const fn new(drops_blank: bool) -> Slot {
        Slot { index: RefCell::new(None), walks: Cell::new(0), drops_blank }
    }

    fn forget(&self) {
        let index = self.index.take();
        drop(index);
    }

    fn has(&self, list: HeaderList) -> bool {
        self.index.borrow().as_ref().is_some_and(|index| index.is_of(list))
    }

    /// Makes an index of `list` where that pays.
    #[cold]
    fn prepare(&self, list: HeaderList) {
        if self.has(list) {
            return;
        }
        self.forget();
        if !list.is_longer_than(LONG) {
            return;
        }
        IN_USE.set(true);
        self.walks.set(self.walks.get().saturating_add(1));
        if self.walks.get() > WALKS {
            *self.index.borrow_mut() = Index::of(list, self.drops_blank).ok();
        }
    }
}

/// A list of headers of one kind.
#[derive(Clone, Copy)]
pub struct Indexed {
    list: HeaderList,
    slot: &'static Slot,
}

impl Indexed {
    pub fn of_request(list: HeaderList) -> Indexed {
        Indexed { list, slot: &REQUEST }
    }

    pub fn of_response(list: HeaderList) -> Indexed {
        Indexed { list, slot: &RESPONSE }
    }

    /// Calls `f` with the index of the list, if there is one or it is worth making one now; `None`
    /// otherwise.
    #[inline]
    fn with<T>(self, f: impl FnOnce(&mut Index) -> T) -> Option<T> {
        if !IN_USE.get() && !self.list.is_longer_than(LONG) {
            return None;
        }
        self.slot.prepare(self.list);
        self.slot.index.borrow_mut().as_mut().map(f)
    }

    /// Calls `each` with nodes of the list, in order: with all of that name, in any case of
    /// letters, with dashes or underscores, and maybe with others.
    #[inline]
    pub fn for_each(self, name: &[u8], mut each: impl FnMut(Node)) {
        if self.with(|index| index.for_each(name, &mut each)).is_none() {
            self.list.nodes().for_each(each);
        }
    }

    /// Adds a header.
    #[inline]
    pub fn push(
        self,
        pool: Pool,
        hash: usize,
        name: &[u8],
        value: ngx_str_t,
    ) -> Result<Node, OutOfMemory> {
        let is_indexed = IN_USE.get() && self.slot.has(self.list);
        let node = self.list.push(pool, hash, name, value)?;
        if is_indexed {
            self.update(|index| Ok(index.added(node).is_ok()));
        }
        Ok(node)
    }

    /// Takes the nodes of that name for which `unwanted` holds out of the list.
    pub fn remove(
        self,
        pool: Pool,
        name: &[u8],
        unwanted: impl Fn(Node) -> bool,
    ) -> Result<(), OutOfMemory> {
        match self.with(|index| index.remove(pool, name, &unwanted)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(Unfit)) => {
                self.slot.walks.set(0);
                self.forget();
            }
            None => {}
        }
        self.list.remove(pool, unwanted)
    }

    /// To be called when a node that may have been blank is not blank any more.
    pub fn shown(self, node: Node) {
        if IN_USE.get() && self.slot.has(self.list) {
            self.update(|index| index.shown(node));
        }
    }

    /// Changes the index, and drops it if `change` fails or returns false.
    #[cold]
    fn update(self, change: impl FnOnce(&mut Index) -> Result<bool, OutOfMemory>) {
        let mut index = self.slot.index.borrow_mut();
        if index.as_mut().is_some_and(|index| change(index) != Ok(true)) {
            *index = None;
        }
    }

    /// To be called when the list has been replaced, or a header in it has got another name.
    pub fn forget(self) {
        self.slot.forget();
    }
}

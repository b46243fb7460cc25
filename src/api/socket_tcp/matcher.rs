//! The state that a `receiveuntil` iterator keeps between its calls. Lua owns it, and so does a
//! read that waits.
//!
//! Lua's garbage collector drops many at once, more than malloc keeps ready for reuse. So there is
//! a free list for them.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use codec::receive_until::ReceiveUntil;

use crate::nginx::core::free_list::FreeList;
use crate::own_thread;

type SharedMatcher = Rc<RefCell<ReceiveUntil>>;

/// How many the free list keeps at most.
const MAX_IDLE: usize = 512;

own_thread! {
    static IDLE: FreeList<SharedMatcher> = FreeList::new(MAX_IDLE);
}

/// A share of an iterator's state; the last one goes to the free list, unless its pattern is long:
/// the list would keep the memory.
#[derive(Clone)]
pub struct Matcher(SharedMatcher);

impl Matcher {
    pub fn new(state: ReceiveUntil) -> Matcher {
        let Some(idle) = IDLE.take() else {
            return Matcher(Rc::new(RefCell::new(state)));
        };
        idle.replace(state);
        Matcher(idle)
    }

    pub fn borrow_mut(&self) -> RefMut<'_, ReceiveUntil> {
        self.0.borrow_mut()
    }
}

impl Drop for Matcher {
    fn drop(&mut self) {
        if let Some(state) = Rc::get_mut(&mut self.0)
            && state.get_mut().is_small()
        {
            drop(IDLE.keep(self.0.clone()));
        }
    }
}

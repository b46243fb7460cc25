//! What a `receiveuntil` iterator keeps between its calls: Lua owns it, and a read that waits does.
//!
//! Lua's collector drops many at once. Their memory serves the next ones, as the allocator's quick
//! lists are too short for them.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use codec::receive_until::ReceiveUntil;

use crate::nginx::core::free_list::FreeList;
use crate::own_thread;

type SharedMatcher = Rc<RefCell<ReceiveUntil>>;

/// How many wait at most for the next iterators.
const MAX_IDLE: usize = 512;

own_thread! {
    static IDLE: FreeList<SharedMatcher> = FreeList::new(MAX_IDLE);
}

/// A share of an iterator's state.
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
        if Rc::strong_count(&self.0) == 1 {
            drop(IDLE.keep(self.0.clone()));
        }
    }
}

//! The resources that a request holds until it ends, mainly connections. They are closed when nginx
//! frees the request, while its pool and its logs still live.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use slotmap::{DefaultKey, SlotMap};

use super::context::Context;
use crate::nginx::core::pool::OutOfMemory;
use crate::ngx_debug;

/// Something that a request holds. Closing is safe to do twice.
pub trait Resource {
    /// The request ends.
    fn close(&self);
}

/// Above this capacity, the memory is not kept for the next request.
const KEPT_CAPACITY: usize = 16;

type Held = SlotMap<DefaultKey, Weak<dyn Resource>>;

/// The resources of one request.
#[derive(Default)]
pub struct Resources {
    /// Made by the first resource: most requests hold none.
    held: RefCell<Option<Box<Held>>>,
}

impl Resources {
    /// Resets it for the next request, keeping the memory.
    pub(super) fn empty(&mut self) {
        let held = self.held.get_mut();
        if held.as_ref().is_some_and(|held| !held.is_empty() || held.capacity() > KEPT_CAPACITY) {
            *held = None;
        }
    }
}

/// A resource's place among those of its request. Dropping it makes the request forget the
/// resource.
pub struct Hold {
    context: Weak<Context>,
    key: DefaultKey,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(context) = self.context.upgrade()
            && let Some(held) = context.resources.held.borrow_mut().as_mut()
        {
            held.remove(self.key);
        }
    }
}

impl Context {
    /// Closes `resource` when the request ends, unless the result is dropped before.
    pub fn hold(self: &Rc<Self>, resource: Weak<dyn Resource>) -> Result<Hold, OutOfMemory> {
        if let Some(base) = self.filter_run.get().and_then(|run| run.base()) {
            return base.hold(resource);
        }
        if self.hears_of_end() {
            ngx_debug!(self.request().log(), "lua http cleanup reuse");
        } else {
            self.watch_request_end()?;
        }
        let mut held = self.resources.held.borrow_mut();
        let held = held.get_or_insert_default();
        held.try_reserve(1)?;
        let key = held.insert(resource);
        Ok(Hold { context: Rc::downgrade(self), key })
    }

    /// Closes all of them. Safe to call twice.
    #[inline(always)]
    pub(super) fn close_resources(&self) {
        let Some(rare) = self.used() else { return };
        if rare.resources.held.borrow().as_ref().is_some_and(|held| !held.is_empty()) {
            self.close_all();
        }
    }

    fn close_all(&self) {
        // Taken out first: each resource drops its place when it closes, and then finds nothing.
        let Some(mut held) = self.resources.held.take() else { return };
        for (_, resource) in held.drain() {
            if let Some(resource) = resource.upgrade() {
                resource.close();
            }
        }
        // The memory is for the next request.
        self.resources.held.borrow_mut().get_or_insert(held);
    }
}

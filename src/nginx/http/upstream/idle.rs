//! Connections to the servers of one `upstream` block that rest until a request goes to the same
//! server again. Each worker has its own; one that exits closes them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};

use codec::fallible::{self, OutOfMemory};

use crate::nginx::core::log::cycle_log;
use crate::nginx::event::peer::{Events, Peer, has_left};
use crate::nginx::event::stream::{Direction, Stream};
use crate::ngx_debug;

/// How many connections rest where the block does not say.
const DEFAULT_MAX: usize = 32;

/// The connections of one block.
#[derive(Default)]
pub struct IdleConnections {
    /// How many there are at most, as the block says; never 0. `None`: [`DEFAULT_MAX`].
    pub max: Cell<Option<usize>>,
    resting: Rc<RestingConnections>,
    hasher: RandomState,
}

/// The one that was used last is first. A key's hash is beside it.
type RestingConnections = RefCell<VecDeque<(u64, Rc<Resting>)>>;

/// A connection that no request uses; dropped, it is closed.
struct Resting {
    peer: RefCell<Option<Peer>>,
    key: Vec<u8>,
    among: Weak<RestingConnections>,
}

impl IdleConnections {
    /// A connection to what `key` says, the one that was used last.
    pub(super) fn take(&self, key: &[u8]) -> Option<Peer> {
        let hash = self.hasher.hash_one(key);
        let mut resting = self.resting.borrow_mut();
        let place = resting.iter().position(|(its, one)| *its == hash && one.key == key)?;
        let (_, one) = resting.remove(place)?;
        one.peer.take()
    }

    /// Lets `peer`, a connection to what `key` says, rest for so many milliseconds (0: as long as
    /// its server likes); there is space for it. One whose server has closed it, or has sent
    /// something unasked, is closed at once.
    pub(super) fn keep(
        &self,
        peer: Peer,
        key: &[u8],
        milliseconds: usize,
    ) -> Result<(), OutOfMemory> {
        let key = fallible::copy(key)?;
        let hash = self.hasher.hash_one(&key);
        self.resting.borrow_mut().try_reserve(1)?;
        let one = Rc::new_cyclic(|this: &Weak<Resting>| {
            peer.rest();
            peer.set_user(this.clone());
            if milliseconds > 0 {
                peer.stream().timer(Direction::Read).set(milliseconds);
            }
            Resting { peer: RefCell::new(Some(peer)), key, among: Rc::downgrade(&self.resting) }
        });
        #[expect(clippy::disallowed_methods, reason = "there is room")]
        self.resting.borrow_mut().push_front((hash, one.clone()));
        one.check();
        Ok(())
    }

    /// Closes those that have rested longest until one more may rest.
    pub(super) fn make_room(&self) {
        while self.resting.borrow().len() >= self.max.get().unwrap_or(DEFAULT_MAX) {
            let oldest = self.resting.borrow_mut().pop_back();
            drop(oldest);
        }
    }
}

impl Resting {
    /// Closes it unless it can rest on.
    fn check(self: Rc<Self>) {
        let rests = self.peer.borrow().as_ref().is_some_and(|peer| {
            let stream = peer.stream();
            !stream.is_to_close()
                && !stream.timer(Direction::Read).take_timeout()
                && stream.is_quiet()
                && stream.watch_read()
        });
        if rests {
            return;
        }
        if let Some(among) = self.among.upgrade() {
            among.borrow_mut().retain(|(_, other)| !Rc::ptr_eq(other, &self));
        }
        self.close();
    }

    fn close(&self) {
        let Some(peer) = self.peer.take() else { return };
        if !has_left() {
            let c = peer.stream().as_ptr();
            ngx_debug!(cycle_log(), "lua balancer: keepalive closing connection {:016X}", c.addr());
        }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.close();
    }
}

impl Events for Resting {
    fn on_read(self: Rc<Self>, _: Stream) {
        self.check();
    }

    fn on_write(self: Rc<Self>, _: Stream) {}
}

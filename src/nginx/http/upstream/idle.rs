//! Connections to the servers of one `upstream` block that rest until a request goes to the same
//! server again. Each worker has its own; one that exits closes them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use crate::nginx::core::log::cycle_log;
use crate::nginx::event::peer::{Events, Peer};
use crate::nginx::event::stream::{Direction, Stream};
use crate::ngx_debug;

/// How many connections rest where the block does not say.
const DEFAULT_MAX: usize = 32;

/// The connections of one block.
#[derive(Default)]
pub struct IdleConnections {
    /// How many there are at most, as the block says; never 0. `None`: [`DEFAULT_MAX`].
    pub max: Cell<Option<usize>>,
    resting: Rc<Resting>,
    hasher: RandomState,
}

/// Those that rest, and get their events here. The one that was used last is first.
#[derive(Default)]
struct Resting(RefCell<VecDeque<Connection>>);

/// A connection that no request uses; dropped, it is closed.
struct Connection {
    peer: Peer,
    key: Vec<u8>,
    /// That of the key.
    hash: u64,
}

impl IdleConnections {
    /// A connection to what `key` says, the one that was used last.
    pub(super) fn take(&self, key: &[u8]) -> Option<Peer> {
        let hash = self.hasher.hash_one(key);
        let mut all = self.resting.0.borrow_mut();
        let place = all.iter().position(|one| one.hash == hash && one.key == key)?;
        all.remove(place).map(|one| one.peer)
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
        self.resting.0.borrow_mut().try_reserve(1)?;
        peer.rest();
        let this = Rc::downgrade(&self.resting);
        peer.set_user(this);
        let stream = peer.stream();
        if milliseconds > 0 {
            stream.timer(Direction::Read).set(milliseconds);
        }
        #[expect(clippy::disallowed_methods, reason = "there is room")]
        self.resting.0.borrow_mut().push_front(Connection { peer, key, hash });
        self.resting.check(stream);
        Ok(())
    }

    /// Closes those that have rested longest until one more may rest.
    pub(super) fn make_room(&self) {
        while self.resting.0.borrow().len() >= self.max.get().unwrap_or(DEFAULT_MAX) {
            let oldest = self.resting.0.borrow_mut().pop_back();
            close(oldest);
        }
    }
}

impl Resting {
    /// Closes a connection unless it can rest on.
    fn check(&self, stream: Stream) {
        if stream.rests_on().is_ok() {
            return;
        }
        let mut all = self.0.borrow_mut();
        let place = all.iter().position(|one| one.peer.stream() == stream);
        let ended = place.and_then(|place| all.remove(place));
        drop(all);
        close(ended);
    }
}

/// Closes a connection that no request uses.
fn close(connection: Option<Connection>) {
    if let Some(connection) = connection {
        let c = connection.peer.stream().as_ptr();
        ngx_debug!(cycle_log(), "lua balancer: keepalive closing connection {:016X}", c.addr());
    }
}

impl Events for Resting {
    fn on_read(self: Rc<Self>, stream: Stream) {
        self.check(stream);
    }

    fn on_write(self: Rc<Self>, _: Stream) {}
}

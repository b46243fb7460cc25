//! Zones of memory that all workers share.
//!
//! `zones` registers them with nginx and knows when all are ready; `dict` is a zone that holds a
//! dictionary: nginx's slab allocator, a red-black tree of entries by key, and a queue of them by
//! last use. `locked` and `entry` are what its lock gives access to, `expiry` is about when they expire, `walk` goes over all
//! entries, `former` is an entry that is being replaced, `layout` the bytes of an entry, `queue` nginx's doubly linked queue. `slots` and
//! `messages` are zones of other kinds: numbers of each worker, and what workers tell each other.
//!
//! A worker may die at any instruction, also with a zone's lock held; nginx's master then releases
//! the lock. What the dead worker was changing may be half done, so a flag in the zone says that a
//! change is under way. A process that takes the lock and finds the flag set empties the
//! dictionary.

pub mod dict;
mod entry;
mod expiry;
mod former;
mod layout;
mod locked;
pub mod messages;
mod queue;
pub mod slots;
mod walk;
pub mod zones;

pub use dict::Dict;
pub use entry::{DictValue, Entry, TakenItem};
pub use expiry::{Moment, NEVER};
pub use former::Former;
pub use locked::{DictKey, Locked};
pub use walk::{SLICE, Walk};
pub use zones::SharedZones;

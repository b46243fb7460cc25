//! A walk over all entries of a dictionary, in slices, between which other processes get its lock.
//!
//! A slice is a range of the keys' hashes, because these stay what they are: between two slices, entries may come and
//! go, be used and be replaced. An entry that is there all the time is met, none is met twice, and one that comes or
//! goes meanwhile may be met or not. The walk keeps nothing in the zone: a process may end in it at any time.

use std::hint::spin_loop;

use codec::fallible::{Grow, OutOfMemory};

use super::dict::Dict;
use super::entry::Entry;
use super::expiry::Moment;
use super::layout::DATA;
use super::locked::Locked;
use crate::nginx::core::prefetch::prefetch;
use crate::nginx::sys::{ngx_rbtree_node_t, ngx_slab_pool_t};

/// How many entries are to be met in a slice: some ten microseconds.
pub const SLICE: usize = 256;

/// How often to look whether a process that has been woken has the lock: some ten microseconds, in which a sleeping
/// process wakes up.
const LOOKS: u32 = 1000;

type Node = *mut ngx_rbtree_node_t;

/// A walk that is under way.
pub struct Walk {
    dict: Dict,
    /// Milliseconds since the epoch.
    now: u64,
    /// The least hash of the entries that have not been met; nothing at the end.
    first: Option<u32>,
    /// How far the last hash of the next slice is from its first one.
    span: u32,
    /// Nodes of the tree, for one slice.
    nodes: Vec<Node>,
}

impl Walk {
    /// A walk at a time in milliseconds since the epoch.
    pub fn new(dict: Dict, now: u64) -> Walk {
        // Few hashes, for a first slice of a dictionary of any size.
        Walk { dict, now, first: Some(0), span: 0xfff, nodes: Vec::new() }
    }

    /// Calls `each` for the entries of the next slice, until it returns false, which ends the walk. It is given the
    /// walk's time to compare with, and may remove the entry. Returns whether there is another slice.
    ///
    /// Errors: there is no memory; nothing of the slice has been met.
    pub fn slice(
        &mut self,
        mut each: impl FnMut(Entry<'_>, Moment) -> bool,
    ) -> Result<bool, OutOfMemory> {
        let Some(first) = self.first.take() else { return Ok(false) };
        self.nodes.try_reserve(2 * SLICE)?;
        let Some(mut locked) = self.dict.lock() else { return Ok(false) };
        let (now, last) = (locked.at(self.now), first.saturating_add(self.span));
        locked.collect(first as usize, last as usize, &mut self.nodes)?;
        let mut nodes = self.nodes.iter();
        let goes_on = nodes.all(|node| {
            // SAFETY: they are entries of the dictionary, whose lock is held since; removing one moves no other one.
            each(unsafe { locked.entry(node.cast()) }, now)
        });
        if goes_on {
            self.first = last.checked_add(1);
        }
        self.span = next_span(self.span, self.nodes.len());
        self.nodes.clear();
        let (pool, is_wanted) = (locked.pool, is_wanted(&locked));
        drop(locked);
        if self.first.is_some() && is_wanted {
            give_way(pool);
        }
        Ok(self.first.is_some())
    }
}

/// The span after one in which there were `met` entries.
fn next_span(span: u32, met: usize) -> u32 {
    let span = u64::from(span);
    let wanted = span * SLICE as u64 / met.max(1) as u64;
    wanted.clamp(span / 8, span * 8).clamp(0xff, u32::MAX.into()) as u32
}

impl Locked<'_> {
    /// Puts the entries with hashes from `first` to `last` into `nodes`, which is empty.
    ///
    /// It goes through the tree level by level, so that the processor has a node by the time that it is looked at:
    /// most of them are not in its cache.
    fn collect(&self, first: usize, last: usize, nodes: &mut Vec<Node>) -> Result<(), OutOfMemory> {
        // SAFETY: the lock is held, and the root lives in the zone.
        let (root, sentinel) = unsafe { ((*self.root).tree.root, (*self.root).tree.sentinel) };
        let add = |nodes: &mut Vec<Node>, node: Node| {
            if node == sentinel {
                return Ok(());
            }
            prefetch(node);
            // Where the key is.
            prefetch(node.wrapping_byte_add(DATA));
            nodes.try_push(node)
        };
        add(nodes, root)?;
        let mut seen = 0;
        while let Some(node) = nodes.get(seen) {
            // SAFETY: the lock is held, and the tree's nodes are entries.
            let ngx_rbtree_node_t { key, left, right, .. } = unsafe { **node };
            seen += 1;
            if key >= first {
                add(nodes, left)?;
            }
            if key <= last {
                add(nodes, right)?;
            }
        }
        // SAFETY: as before.
        nodes.retain(|node| (first..=last).contains(&unsafe { (**node).key }));
        Ok(())
    }
}

/// Whether a process sleeps until it is woken to take the lock. (nginx may have been built without semaphores:
/// then a process that waits tries again and again, and gives way itself.)
fn is_wanted(locked: &Locked) -> bool {
    #[cfg(ngx_shmtx_wait)]
    // SAFETY: the zone's mutex has been made with its pool, and the count is in the zone.
    unsafe {
        (*locked.pool).mutex.wait.read_volatile() > 0
    }
    #[cfg(not(ngx_shmtx_wait))]
    {
        let _ = locked;
        false
    }
}

/// Leaves the lock, which has just been released, to the process that is woken by that, unless it takes long.
/// Otherwise this process would mostly have it again before the other one is awake.
fn give_way(pool: *mut ngx_slab_pool_t) {
    for _ in 0..LOOKS {
        // SAFETY: the zone stays, and the lock's word is in it.
        if unsafe { (*pool).mutex.lock.read_volatile() } != 0 {
            return;
        }
        spin_loop();
    }
}

//! An index of a list of headers: where those of a name are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};

use codec::fallible::Grow;

use super::list::HeaderList;
use super::node::Node;
use super::part::Part;
use super::places::Places;
use crate::nginx::core::pool::{OutOfMemory, Pool};

/// If more than one node in this many is to be removed, a walk through the list is faster than the
/// index.
const WALK_SHARE: usize = 32;

/// The index cannot do what was asked of it: the caller walks through the list instead.
#[derive(Debug)]
pub struct Unfit;

impl From<OutOfMemory> for Unfit {
    fn from(_: OutOfMemory) -> Unfit {
        Unfit
    }
}

pub struct Index {
    list: HeaderList,
    /// The list's last part, and how many nodes that has: others change a list by adding to it.
    end: (Option<Part>, usize),
    /// Whether blank nodes are left out.
    drops_blank: bool,
    hasher: RandomState,
    /// By the hash of a name. Nodes whose names have the same hash are in one chain.
    chains: HashMap<u64, Chain>,
    entries: Vec<Entry>,
    /// Made when the first node is taken out.
    places: Option<Places>,
}

/// Nodes in the order of the list: the first and the last one's place among the entries.
#[derive(Clone, Copy)]
struct Chain {
    first: usize,
    last: usize,
    len: usize,
}

struct Entry {
    node: Node,
    next: Option<usize>,
}

impl Index {
    /// An index of all nodes of `list`, without the blank ones where `drops_blank` says so.
    pub fn of(list: HeaderList, drops_blank: bool) -> Result<Index, OutOfMemory> {
        let mut index = Index {
            list,
            end: end(list),
            drops_blank,
            hasher: RandomState::new(),
            chains: HashMap::new(),
            entries: Vec::new(),
            places: None,
        };
        for node in list.nodes() {
            index.insert(node)?;
        }
        Ok(index)
    }

    /// Whether this is an index of `list`, and of all that is in it.
    pub fn is_of(&self, list: HeaderList) -> bool {
        self.list == list && self.end == end(list)
    }

    fn is_left_out(&self, node: Node) -> bool {
        self.drops_blank && node.is_blank()
    }

    /// The hash of a name in which case does not matter, nor whether it has dashes or underscores.
    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for bytes in name.chunks(32) {
            let mut same = [0; 32];
            for (same, byte) in same.iter_mut().zip(bytes) {
                *same = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
            }
            hasher.write(same.get(..bytes.len()).unwrap_or_default());
        }
        hasher.finish()
    }

    /// Appends `node` to the nodes of its name.
    fn insert(&mut self, node: Node) -> Result<(), OutOfMemory> {
        if self.is_left_out(node) {
            return Ok(());
        }
        let (hash, at) = (self.hash(node.name()), self.entries.len());
        self.chains.try_reserve(1)?;
        self.entries.try_push(Entry { node, next: None })?;
        let chain = self.chains.entry(hash).or_insert(Chain { first: at, last: at, len: 0 });
        chain.len += 1;
        let before = std::mem::replace(&mut chain.last, at);
        if before != at
            && let Some(entry) = self.entries.get_mut(before)
        {
            entry.next = Some(at);
        }
        Ok(())
    }

    /// Calls `keep` with the nodes of `name`, in order, and leaves out those for which it says no.
    /// After an error, the index must not be used any more.
    fn retain<E>(
        &mut self,
        name: &[u8],
        mut keep: impl FnMut(&mut Index, Node) -> Result<bool, E>,
    ) -> Result<(), E> {
        let hash = self.hash(name);
        let Some(old) = self.chains.get(&hash) else { return Ok(()) };
        let mut next = Some(old.first);
        let mut kept: Option<Chain> = None;
        while let Some(at) = next
            && let Some(entry) = self.entries.get_mut(at)
        {
            let node = entry.node;
            next = entry.next.take();
            if !keep(self, node)? {
                continue;
            }
            let before = kept.map(|kept| kept.last);
            if let Some(entry) = before.and_then(|before| self.entries.get_mut(before)) {
                entry.next = Some(at);
            }
            let (first, len) = kept.map_or((at, 0), |kept| (kept.first, kept.len));
            kept = Some(Chain { first, last: at, len: len + 1 });
        }
        match kept {
            // As it was there before, it takes no new memory.
            Some(kept) => drop(self.chains.insert(hash, kept)),
            None => drop(self.chains.remove(&hash)),
        }
        Ok(())
    }

    /// Calls `each` with the nodes of `name`, in order.
    pub fn for_each(&mut self, name: &[u8], mut each: impl FnMut(Node)) {
        let Ok(()) = self.retain::<Infallible>(name, |index, node| {
            each(node);
            Ok(!index.is_left_out(node))
        });
    }

    /// Takes the nodes of `name` for which `unwanted` holds out of the list.
    ///
    /// # Errors
    /// Out of memory, the list is not what it was, or a walk through all of it is less work; the
    /// index must not be used any more.
    pub fn remove(
        &mut self,
        pool: Pool,
        name: &[u8],
        unwanted: impl Fn(Node) -> bool,
    ) -> Result<(), Unfit> {
        let len = self.chains.get(&self.hash(name)).map_or(0, |chain| chain.len);
        if len > self.entries.len() / WALK_SHARE {
            return Err(Unfit);
        }
        if self.places.is_none() {
            self.places = Some(Places::of(self.list)?);
        }
        self.retain::<Unfit>(name, |index, node| {
            let goes = unwanted(node);
            if goes && let Some(places) = &mut index.places {
                places.take(index.list, pool, node)?;
            }
            Ok(!goes)
        })?;
        self.end = end(self.list);
        Ok(())
    }

    /// `node` was added to the list.
    pub fn added(&mut self, node: Node) -> Result<(), OutOfMemory> {
        let last = self.end.0;
        self.end = end(self.list);
        if let Some(places) = &mut self.places
            && let (Some(part), Some(last)) = (self.end.0, last)
        {
            places.added(node, part, last)?;
        }
        self.insert(node)
    }

    /// `node`, which may have been blank, is not blank any more. Returns whether the index can
    /// still be used.
    pub fn shown(&mut self, node: Node) -> Result<bool, OutOfMemory> {
        let (mut is_alone, mut is_there) = (true, false);
        self.for_each(node.name(), |other| {
            is_alone = false;
            is_there |= other == node;
        });
        if is_alone {
            self.insert(node)?;
        }
        Ok(is_alone || is_there)
    }
}

fn end(list: HeaderList) -> (Option<Part>, usize) {
    let last = list.last_part();
    (last, last.map_or(0, Part::len))
}

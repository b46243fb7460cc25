//! A dictionary while its lock is held: finding and adding entries.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{copy_nonoverlapping, null_mut};
use std::sync::atomic::{Ordering, compiler_fence};

use codec::fallible::{self, Shown};
use export::callback;

use super::dict::{Dict, Root, format};
use super::entry::{DictValue, Entry};
use super::expiry::{Generation, Moment, NEVER};
use super::layout::{DATA, Header, LIST, list_head, list_size};
use super::queue::Queue;
use crate::nginx::Level;
use crate::nginx::core::log::log_cycle;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::sys::{
    ngx_pagesize, ngx_rbtree_insert, ngx_rbtree_node_t, ngx_shmtx_unlock, ngx_slab_alloc_locked,
    ngx_slab_init, ngx_slab_pool_t,
};

/// A key and its hash, which is made before the lock is taken.
#[derive(Clone, Copy)]
pub struct DictKey<'a> {
    bytes: &'a [u8],
    hash: usize,
}

impl<'a> DictKey<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> DictKey<'a> {
        DictKey { bytes, hash: codec::crc32::checksum(bytes) as usize }
    }
}

/// The free space of a zone.
pub struct FreeRuns {
    pub count: usize,
    /// The size of the largest piece, in bytes.
    pub largest: usize,
}

/// A dictionary whose lock is held. Dropping the value releases it.
pub struct Locked<'d> {
    pub(super) pool: *mut ngx_slab_pool_t,
    pub(super) root: *mut Root,
    of: PhantomData<&'d Dict>,
}

impl Locked<'_> {
    /// The dictionary in a slab pool whose lock is held. `None` if there is no memory even for an
    /// empty dictionary; then the lock is released.
    ///
    /// # Safety
    /// The lock of `pool` must be held, and its data be null or a root.
    #[inline]
    pub unsafe fn begin(pool: *mut ngx_slab_pool_t, dict: &Dict) -> Option<Locked<'_>> {
        // SAFETY: the lock is held and the data is a root, the contract of this function.
        unsafe {
            let mut root: *mut Root = (*pool).data.cast();
            if root.is_null() || (*root).changing.load(Ordering::Relaxed) != 0 {
                root = rebuild(pool, dict.name())?;
            }
            // If a process dies, the next one sees all that it had stored up to that instruction.
            // So no memory barrier is needed: it is enough that the compiler keeps the order.
            (*root).changing.store(1, Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
            Some(Locked { pool, root, of: PhantomData })
        }
    }

    /// A second value for a dictionary whose lock is held by a first one, which releases it.
    ///
    /// # Safety
    /// Nobody may use the first one while this one is used.
    pub(super) unsafe fn borrowed<'d>(
        pool: *mut ngx_slab_pool_t,
        root: *mut Root,
    ) -> ManuallyDrop<Locked<'d>> {
        ManuallyDrop::new(Locked { pool, root, of: PhantomData })
    }

    fn lru(&self) -> *mut Queue {
        // SAFETY: the root lives in the zone.
        unsafe { &raw mut (*self.root).lru }
    }

    /// How many bytes are in pages that hold nothing.
    pub fn free_space(&self) -> usize {
        // SAFETY: the lock is held; nginx sets its page size at start.
        unsafe { (*self.pool).pfree * ngx_pagesize }
    }

    /// The pieces of that space, each of pages that lie side by side.
    pub fn free_runs(&self) -> FreeRuns {
        let mut runs = FreeRuns { count: 0, largest: 0 };
        // SAFETY: the lock is held; nginx links its runs of free pages in a circle, and keeps the
        // length of each in its first page.
        unsafe {
            let head = &raw mut (*self.pool).free;
            let mut page = (*head).next;
            while page != head && !page.is_null() {
                runs.count += 1;
                runs.largest = runs.largest.max((*page).slab * ngx_pagesize);
                page = (*page).next;
            }
        }
        runs
    }

    /// How many living entries have been removed to make room for others since the dictionary was
    /// made.
    pub fn evictions(&self) -> u64 {
        // SAFETY: the root lives in the zone.
        unsafe { (*self.root).evictions }
    }

    /// Counts one more of these.
    pub fn count_eviction(&mut self) {
        // SAFETY: the lock is held, and the root lives in the zone.
        unsafe { (*self.root).evictions += 1 }
    }

    /// So many milliseconds since the epoch, to compare with when entries expire.
    #[inline]
    pub fn at(&self, milliseconds: u64) -> Moment {
        // SAFETY: the lock is held, and the root lives in the zone.
        unsafe { (*self.root).generation }.at(milliseconds)
    }

    /// Makes all entries expire.
    pub fn expire_all(&mut self) {
        // SAFETY: the lock is held, and the root lives in the zone.
        let generation = unsafe { &raw mut (*self.root).generation };
        // SAFETY: as before.
        let next = unsafe { *generation }.next().unwrap_or_else(|| {
            self.for_each(|mut entry| {
                entry.set_expires_at(Moment::PAST);
                true
            });
            Generation::FIRST
        });
        // SAFETY: as before.
        unsafe { *generation = next };
    }

    /// The entry with that key.
    pub fn find(&mut self, key: DictKey) -> Option<Entry<'_>> {
        let DictKey { bytes, hash: wanted } = key;
        // SAFETY: the lock is held, and the tree's nodes are entries.
        unsafe {
            let sentinel = (*self.root).tree.sentinel;
            let mut node = (*self.root).tree.root;
            while node != sentinel {
                let goes_left = match wanted == (*node).key {
                    false => wanted < (*node).key,
                    true => match bytes.cmp(Header::key(node.cast())) {
                        std::cmp::Ordering::Equal => return Some(self.entry(node.cast())),
                        order => order.is_lt(),
                    },
                };
                node = child(node, goes_left);
            }
        }
        None
    }

    /// The entry that was used least recently.
    pub fn oldest(&mut self) -> Option<Entry<'_>> {
        // SAFETY: the lock is held, and the queue's links are in entries.
        unsafe { Queue::last(self.lru()).map(|link| self.entry(Header::of_lru(link))) }
    }

    /// # Safety
    /// `header` must be that of an entry of this dictionary.
    pub(super) unsafe fn entry(&mut self, header: *mut Header) -> Entry<'_> {
        // SAFETY: an entry of this dictionary, the contract of this function.
        unsafe { Entry::new(self.pool, self.root, header) }
    }

    /// Calls `each` for every entry, the least recently used first, until it returns false. It may
    /// remove the entry that it is given.
    pub fn for_each(&mut self, mut each: impl FnMut(Entry<'_>) -> bool) {
        // SAFETY: the lock is held; the next link is read before the entry may go.
        unsafe {
            let head = self.lru();
            let mut next = Queue::last(head);
            while let Some(link) = next {
                next = Queue::before(link, head);
                if !each(self.entry(Header::of_lru(link))) {
                    return;
                }
            }
        }
    }

    /// Adds an entry, at the front of the queue, which expires at so many milliseconds since the epoch, `NEVER` for
    /// never. The key must not be there.
    pub fn insert(
        &mut self,
        key: DictKey,
        value: DictValue,
        expires: u64,
        flags: u32,
    ) -> Result<Entry<'_>, OutOfMemory> {
        let value_len = u32::try_from(value.bytes.len()).map_err(|_| OutOfMemory)?;
        let size = DATA + key.bytes.len() + value.bytes.len();
        let header = self.allocate(size, key, value.kind, value_len)?;
        // SAFETY: a fresh entry, in neither tree nor queue, allocated with space for the value.
        unsafe {
            (*header).expires = self.at(expires);
            (*header).flags = flags;
            let to = Header::value(header);
            copy_nonoverlapping(value.bytes.as_ptr(), to, value.bytes.len());
            self.link(header);
            Ok(self.entry(header))
        }
    }

    /// Adds an empty list. The key must not be there.
    pub fn insert_list(&mut self, key: DictKey) -> Result<Entry<'_>, OutOfMemory> {
        let header = self.allocate(list_size(key.bytes.len()), key, LIST, 0)?;
        // SAFETY: a fresh entry, in neither tree nor queue, allocated with space for a list's head.
        unsafe {
            Queue::init(header.byte_add(list_head(key.bytes.len())).cast());
            self.link(header);
            Ok(self.entry(header))
        }
    }

    fn allocate(
        &mut self,
        size: usize,
        key: DictKey,
        kind: u8,
        value_len: u32,
    ) -> Result<*mut Header, OutOfMemory> {
        let DictKey { bytes, hash } = key;
        let key_len = u16::try_from(bytes.len()).map_err(|_| OutOfMemory)?;
        // SAFETY: the lock is held; `size` covers header and key. The header is written field by
        // field, because its size includes padding after the last field, where the key begins.
        unsafe {
            let header: *mut Header = ngx_slab_alloc_locked(self.pool, size).cast();
            if header.is_null() {
                return Err(OutOfMemory);
            }
            (*header).hash = hash;
            (*header).kind = kind;
            (*header).key_len = key_len;
            (*header).value_len = value_len;
            (*header).expires = self.at(NEVER);
            (*header).flags = 0;
            (&raw mut (*header).lru).write(Queue::UNLINKED);
            copy_nonoverlapping(bytes.as_ptr(), header.cast::<u8>().add(DATA), bytes.len());
            Ok(header)
        }
    }

    /// Puts an entry into the tree, and at the front of the queue.
    ///
    /// # Safety
    /// The entry must be of this dictionary, and in neither tree nor queue.
    pub(super) unsafe fn link(&mut self, header: *mut Header) {
        // SAFETY: the lock is held, and the entry is in neither tree nor queue, the contract of this
        // function. The function that the tree calls is set each time, for the module may have been
        // loaded again since.
        unsafe {
            (*self.root).tree.insert = Some(insert_value);
            ngx_rbtree_insert(&raw mut (*self.root).tree, header.cast());
            Queue::push_front(self.lru(), &raw mut (*header).lru);
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock is held, and the zone stays.
        unsafe {
            // After a panic in the middle of a change the flag stays set: the next process to take
            // the lock empties the dictionary.
            if !self.root.is_null() && !std::thread::panicking() {
                compiler_fence(Ordering::SeqCst);
                (*self.root).changing.store(0, Ordering::Relaxed);
            }
            ngx_shmtx_unlock(&mut (*self.pool).mutex);
        }
    }
}

/// Makes an empty dictionary, because a process died in the middle of a change. `None` if there is
/// no memory even for that; then the lock is released.
///
/// # Safety
/// The lock of `pool` must be held.
#[cold]
unsafe fn rebuild(pool: *mut ngx_slab_pool_t, name: &[u8]) -> Option<*mut Root> {
    let name_shown = Shown(name);
    let text = fallible::text(format_args!(
        "lua_shared_dict \"{name_shown}\" was being changed by a process that died: \
         its entries are dropped"
    ));
    log_cycle(Level::Alert, text.as_bytes());
    // Releases the lock on an early return.
    let mut locked = Locked { pool, root: null_mut(), of: PhantomData };
    // SAFETY: the lock is held; nginx initialises a slab pool the same way when it makes a zone.
    unsafe {
        ngx_slab_init(pool);
        locked.root = format(pool, name).ok()?;
    }
    let root = locked.root;
    std::mem::forget(locked);
    Some(root)
}

/// A child of `node`, chosen by a branch rather than a conditional move: so the processor can go on
/// speculatively while the node is still being loaded from memory.
///
/// # Safety
/// `node` must be a live node of a tree.
#[inline(always)]
unsafe fn child(node: *mut ngx_rbtree_node_t, left: bool) -> *mut ngx_rbtree_node_t {
    // SAFETY: `node` is live, the contract of this function; the empty assembly keeps the compiler
    // from using a conditional move.
    unsafe {
        if left {
            std::arch::asm!("", options(nomem, nostack, preserves_flags));
            (*node).left
        } else {
            (*node).right
        }
    }
}

/// nginx's tree calls this to insert a new entry: ordered by hash, then by key.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "it follows and stores pointers")]
unsafe extern "C" fn insert_value(
    mut at: *mut ngx_rbtree_node_t,
    node: *mut ngx_rbtree_node_t,
    sentinel: *mut ngx_rbtree_node_t,
) {
    // SAFETY: nginx passes the tree's nodes, which are entries.
    unsafe {
        let order = |node: *mut ngx_rbtree_node_t| ((*node).key, Header::key(node.cast()));
        let slot = loop {
            let goes_left = order(node) < order(at);
            let next = child(at, goes_left);
            if next == sentinel {
                break if goes_left { &raw mut (*at).left } else { &raw mut (*at).right };
            }
            at = next;
        };
        *slot = node;
        (*node).parent = at;
        (*node).left = sentinel;
        (*node).right = sentinel;
        // Red.
        (*node).color = 1;
    }
}

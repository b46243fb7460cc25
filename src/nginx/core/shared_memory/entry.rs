//! One entry of a locked dictionary: reading it, changing it, removing it.

use std::marker::PhantomData;
use std::ptr::copy_nonoverlapping;

use codec::fallible;

use super::dict::Root;
use super::expiry::Moment;
use super::former::Former;
use super::layout::{self, DATA, Header, ITEM_DATA, LIST, list_head, room};
use super::locked::Locked;
use super::queue::Queue;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_rbtree_delete, ngx_slab_alloc_locked, ngx_slab_free_locked, ngx_slab_pool_t,
};

/// A value to store: its kind and its bytes.
#[derive(Clone, Copy)]
pub struct DictValue<'a> {
    pub kind: u8,
    pub bytes: &'a [u8],
}

/// A value that was taken off a list.
pub struct TakenItem {
    pub kind: u8,
    bytes: Bytes,
}

/// The bytes of an item; short ones are kept inline.
enum Bytes {
    Short([u8; SHORT], usize),
    Long(Vec<u8>),
}

const SHORT: usize = 32;

impl TakenItem {
    pub fn of(DictValue { kind, bytes }: DictValue) -> Result<TakenItem, OutOfMemory> {
        let mut short = [0; SHORT];
        let bytes = match short.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Bytes::Short(short, bytes.len())
            }
            None => Bytes::Long(fallible::copy(bytes)?),
        };
        Ok(TakenItem { kind, bytes })
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short(bytes, len) => bytes.get(..*len).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

/// An entry of a locked dictionary.
pub struct Entry<'l> {
    pool: *mut ngx_slab_pool_t,
    root: *mut Root,
    header: *mut Header,
    of: PhantomData<&'l mut ()>,
}

impl Entry<'_> {
    /// # Safety
    /// `header` must be that of an entry of the dictionary, whose lock is held for `'l`.
    pub(super) unsafe fn new<'l>(
        pool: *mut ngx_slab_pool_t,
        root: *mut Root,
        header: *mut Header,
    ) -> Entry<'l> {
        Entry { pool, root, header, of: PhantomData }
    }

    fn header(&self) -> &Header {
        // SAFETY: the entry is live while this value borrows the locked dictionary. The slab gave
        // it at least the size of a header: the smallest slot above its data offset is 128 bytes.
        unsafe { &*self.header }
    }

    pub fn key(&self) -> &[u8] {
        // SAFETY: as in `header`.
        unsafe { Header::key(self.header) }
    }

    pub fn kind(&self) -> u8 {
        self.header().kind
    }

    pub fn is_list(&self) -> bool {
        self.header().kind == LIST
    }

    pub fn flags(&self) -> u32 {
        self.header().flags
    }

    /// When it expires, in milliseconds since the epoch; `NEVER` for never.
    pub fn expires(&self) -> u64 {
        // SAFETY: the lock is held, and the root lives in the zone.
        unsafe { (*self.root).generation }.milliseconds(self.expires_at())
    }

    pub(super) fn expires_at(&self) -> Moment {
        self.header().expires
    }

    /// Whether it has not expired at a time that is one of `Locked::at`'s.
    #[inline]
    pub fn is_alive(&self, now: Moment) -> bool {
        self.header().expires > now
    }

    /// How many bytes the value has, or how many items the list.
    pub fn size(&self) -> u32 {
        self.header().value_len
    }

    /// The value's bytes; none of a list.
    pub fn value(&self) -> &[u8] {
        if self.is_list() {
            return &[];
        }
        // SAFETY: as in `header`; the value follows the key.
        unsafe { std::slice::from_raw_parts(Header::value(self.header), self.size() as usize) }
    }

    /// Has it expire at so many milliseconds since the epoch; `NEVER` for never.
    pub fn set_expires(&mut self, expires: u64) {
        // SAFETY: the lock is held, and the root lives in the zone.
        self.set_expires_at(unsafe { (*self.root).generation }.at(expires));
    }

    pub(super) fn set_expires_at(&mut self, expires: Moment) {
        // SAFETY: as in `header`.
        unsafe { (*self.header).expires = expires };
    }

    pub fn set_flags(&mut self, flags: u32) {
        // SAFETY: as in `header`.
        unsafe { (*self.header).flags = flags };
    }

    /// Writes another value in the place of the old one; false where that place is too small, or larger than it is
    /// for a new entry.
    pub fn overwrite(&mut self, value: DictValue) -> bool {
        if self.is_list() {
            return false;
        }
        if value.bytes.len() != self.size() as usize && !self.resize(value.bytes.len()) {
            return false;
        }
        // SAFETY: as in `header`; there is room for the value.
        unsafe {
            (*self.header).kind = value.kind;
            let to = Header::value(self.header);
            copy_nonoverlapping(value.bytes.as_ptr(), to, value.bytes.len());
        }
        true
    }

    /// Gives the value another length; false where that takes another amount of memory.
    #[cold]
    fn resize(&mut self, len: usize) -> bool {
        let before = DATA + usize::from(self.header().key_len);
        let fits = room(before + len) == room(before + self.size() as usize);
        match u32::try_from(len) {
            Ok(len) if fits => {
                // SAFETY: as in `header`.
                unsafe { (*self.header).value_len = len };
                true
            }
            _ => false,
        }
    }

    /// Marks the entry as the most recently used one.
    pub fn promote(&mut self) {
        // SAFETY: the entry is in the queue of its dictionary.
        unsafe {
            let link = &raw mut (*self.header).lru;
            Queue::remove(link);
            Queue::push_front(&raw mut (*self.root).lru, link);
        }
    }

    /// Frees the entry, and a list's items with it.
    pub fn remove(mut self) {
        self.unlink();
        self.free_unlinked();
    }

    /// Makes way for what `insert` inserts instead: while the entry still has its memory, and if
    /// that fails, without it. `Some`: there is room for another attempt to insert, and this was the
    /// entry. Without memory to remember it, the entry is back in its place.
    pub fn replace(
        mut self,
        insert: impl FnOnce(&mut Locked) -> Result<(), OutOfMemory>,
    ) -> Result<Option<Former>, OutOfMemory> {
        self.unlink();
        // SAFETY: the lock is held by the value that `self` borrows, which nobody uses meanwhile.
        let mut dict = unsafe { Locked::borrowed(self.pool, self.root) };
        if insert(&mut dict).is_ok() {
            self.free_unlinked();
            return Ok(None);
        }
        match Former::of(&self) {
            Ok(former) => {
                self.free_unlinked();
                Ok(Some(former))
            }
            Err(error) => {
                // SAFETY: the entry has been taken out, and `insert` has inserted none.
                unsafe { dict.link(self.header) };
                Err(error)
            }
        }
    }

    /// Takes the entry out of tree and queue; its memory stays, and a list's items.
    fn unlink(&mut self) {
        // SAFETY: the entry is in the tree and the queue of its dictionary.
        unsafe {
            Queue::remove(&raw mut (*self.header).lru);
            ngx_rbtree_delete(&raw mut (*self.root).tree, self.header.cast());
        }
    }

    /// Frees an entry that has been taken out of tree and queue.
    fn free_unlinked(mut self) {
        self.clear();
        // SAFETY: nobody refers to the entry, nor uses it after this.
        unsafe { ngx_slab_free_locked(self.pool, self.header.cast()) }
    }

    /// Calls `each` for a list's items, from left to right, until it fails.
    pub fn for_each_item<E>(
        &self,
        mut each: impl FnMut(DictValue) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(items) = self.items() else { return Ok(()) };
        // SAFETY: the lock is held; the links are those of items, and their values follow them.
        unsafe {
            let mut next = Queue::first(items);
            while let Some(link) = next {
                let item: *mut layout::ListItem = link.cast();
                let bytes = strings::raw(item.cast::<u8>().add(ITEM_DATA), (*item).len as usize);
                each(DictValue { kind: (*item).kind, bytes })?;
                next = Queue::after(link, items);
            }
        }
        Ok(())
    }

    /// The head of a list's items; nothing for other entries.
    fn items(&self) -> Option<*mut Queue> {
        let key_len = usize::from(self.header().key_len);
        // SAFETY: a list's entry has its head there.
        self.is_list().then(|| unsafe { self.header.byte_add(list_head(key_len)).cast() })
    }

    /// Frees a list's items.
    pub fn clear(&mut self) {
        while let Some(item) = self.item_at(true) {
            // SAFETY: an item of this list.
            unsafe { self.free_item(item) };
        }
    }

    /// Adds an item at the left or right of a list. Returns the new length.
    pub fn push(&mut self, left: bool, value: DictValue) -> Result<u32, OutOfMemory> {
        let items = self.items().ok_or(OutOfMemory)?;
        let len = u32::try_from(value.bytes.len()).map_err(|_| OutOfMemory)?;
        // SAFETY: the lock is held; the item has room for header and value.
        unsafe {
            let size = ITEM_DATA + value.bytes.len();
            let item: *mut layout::ListItem = ngx_slab_alloc_locked(self.pool, size).cast();
            if item.is_null() {
                return Err(OutOfMemory);
            }
            (*item).len = len;
            (*item).kind = value.kind;
            let to = item.cast::<u8>().add(ITEM_DATA);
            copy_nonoverlapping(value.bytes.as_ptr(), to, value.bytes.len());
            let link = &raw mut (*item).link;
            if left {
                Queue::push_front(items, link)
            } else {
                Queue::push_back(items, link)
            }
            (*self.header).value_len += 1;
        }
        Ok(self.size())
    }

    /// Takes an item off the left or right of a list, and returns what `take` makes of it. If
    /// `take` returns `None`, the item stays.
    pub fn pop<T>(&mut self, left: bool, take: impl FnOnce(DictValue) -> Option<T>) -> Option<T> {
        let item = self.item_at(left)?;
        // SAFETY: the lock is held; the value follows the item's header.
        let value = unsafe {
            let bytes = strings::raw(item.cast::<u8>().add(ITEM_DATA), (*item).len as usize);
            DictValue { kind: (*item).kind, bytes }
        };
        let taken = take(value)?;
        // SAFETY: an item of this list.
        unsafe { self.free_item(item) };
        Some(taken)
    }

    fn item_at(&self, left: bool) -> Option<*mut layout::ListItem> {
        let items = self.items()?;
        // SAFETY: the lock is held; the links are those of items, which begin with them.
        let link = unsafe { if left { Queue::first(items) } else { Queue::last(items) } }?;
        Some(link.cast())
    }

    /// # Safety
    /// `item` must be one of this list.
    unsafe fn free_item(&mut self, item: *mut layout::ListItem) {
        // SAFETY: the lock is held, and the item is in this list's queue, the contract of this
        // function.
        unsafe {
            Queue::remove(item.cast());
            (*self.header).value_len = (*self.header).value_len.saturating_sub(1);
            ngx_slab_free_locked(self.pool, item.cast());
        }
    }
}

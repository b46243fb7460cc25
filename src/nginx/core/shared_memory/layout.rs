//! The layout of an entry, and of an item of a list: a header, then bytes.
//!
//! An entry begins as nginx's tree node does, up to the colour. Behind its header come the key and
//! the value; for a list, the key and the head of the queue of its items.

use std::mem::{offset_of, size_of};

use super::expiry::Moment;
use super::queue::Queue;
use crate::nginx::sys::{NGX_ALIGNMENT, ngx_pagesize, ngx_rbtree_node_t};

/// An entry's header.
#[repr(C)]
pub struct Header {
    pub hash: usize,
    left: *mut ngx_rbtree_node_t,
    right: *mut ngx_rbtree_node_t,
    parent: *mut ngx_rbtree_node_t,
    color: u8,
    /// The type of the value: Lua's number for it, or 5 for a list.
    pub kind: u8,
    pub key_len: u16,
    /// The value's length in bytes; of a list, the number of its items.
    pub value_len: u32,
    pub expires: Moment,
    pub lru: Queue,
    pub flags: u32,
}

const _: () = {
    assert!(offset_of!(Header, color) == offset_of!(ngx_rbtree_node_t, color));
    assert!(offset_of!(Header, parent) == offset_of!(ngx_rbtree_node_t, parent));
};

/// Where an entry's key begins.
pub const DATA: usize = offset_of!(Header, flags) + size_of::<u32>();

/// The kind of an entry that is a list.
pub const LIST: u8 = 5;

/// A list's item.
#[repr(C)]
pub struct ListItem {
    pub link: Queue,
    pub len: u32,
    pub kind: u8,
}

/// Where an item's value begins.
pub const ITEM_DATA: usize = offset_of!(ListItem, kind) + 1;

/// Where a list's head is in an entry with a key of that length, which the slab allocator aligns.
pub fn list_head(key_len: usize) -> usize {
    (DATA + key_len).next_multiple_of(NGX_ALIGNMENT)
}

/// The size of a list's entry.
pub fn list_size(key_len: usize) -> usize {
    (DATA + key_len + size_of::<Queue>()).next_multiple_of(NGX_ALIGNMENT)
}

/// How many bytes nginx's slab allocator takes for an entry of `size` bytes: a power of two, or pages.
pub fn room(size: usize) -> usize {
    // SAFETY: nginx sets it at start.
    let page = unsafe { ngx_pagesize };
    if size > page / 2 { size.next_multiple_of(page) } else { size.next_power_of_two() }
}

impl Header {
    /// The key of the entry at `entry`.
    ///
    /// # Safety
    /// `entry` is a whole entry that lives for `'a`.
    pub unsafe fn key<'a>(entry: *const Header) -> &'a [u8] {
        // SAFETY: the entry is whole and lives for `'a`, the contract of this function; the key
        // follows the header.
        unsafe { std::slice::from_raw_parts(entry.cast::<u8>().add(DATA), (*entry).key_len.into()) }
    }

    /// Where the value is.
    ///
    /// # Safety
    /// As for `key`.
    pub unsafe fn value(entry: *mut Header) -> *mut u8 {
        // SAFETY: the entry is whole, the contract of this function; the value follows the key.
        unsafe { entry.cast::<u8>().add(DATA + usize::from((*entry).key_len)) }
    }

    /// The entry whose link in the queue of last use is `link`.
    ///
    /// # Safety
    /// `link` is in an entry.
    pub unsafe fn of_lru(link: *mut Queue) -> *mut Header {
        // SAFETY: the link is in an entry, the contract of this function.
        unsafe { link.byte_sub(offset_of!(Header, lru)).cast() }
    }
}

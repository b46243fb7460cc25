//! nginx's lists of headers.

#[cfg(ngx_header_links)]
use std::ptr::null_mut;

use super::pool::OutOfMemory;
use super::sys::{ngx_list_part_t, ngx_list_push, ngx_list_t, ngx_table_elt_t};

/// The headers of a list, in order.
///
/// # Safety
/// `list` must be a live list of `ngx_table_elt_t` that outlives the iterator.
pub unsafe fn nodes<'a>(list: *const ngx_list_t) -> impl Iterator<Item = &'a mut ngx_table_elt_t> {
    // SAFETY: the caller's.
    let mut part: *const ngx_list_part_t = unsafe { &raw const (*list).part };
    let mut index = 0;
    std::iter::from_fn(move || {
        // SAFETY: the caller's: each part is live and holds `nelts` headers.
        unsafe {
            while index >= (*part).nelts {
                part = (*part).next;
                index = 0;
                if part.is_null() {
                    return None;
                }
            }
            let node = &mut *(*part).elts.cast::<ngx_table_elt_t>().add(index);
            index += 1;
            Some(node)
        }
    })
    .fuse()
}

/// Appends a header; its links (nginx 1.23 and later) are cleared.
///
/// # Safety
/// `list` must be a live list of `ngx_table_elt_t`.
pub unsafe fn push(
    list: *mut ngx_list_t,
    header: ngx_table_elt_t,
) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
    // SAFETY: the caller's; the fresh node is written as a whole.
    unsafe {
        let node: *mut ngx_table_elt_t = ngx_list_push(list).cast();
        if node.is_null() {
            return Err(OutOfMemory);
        }
        node.write(header);
        #[cfg(ngx_header_links)]
        {
            (*node).next = null_mut();
        }
        Ok(node)
    }
}

//! nginx's intrusive doubly linked queue: links are part of the structures that they link, and the
//! head is a link too.

use std::ptr::null_mut;

/// A link, or a queue's head.
#[repr(C)]
pub struct Queue {
    prev: *mut Queue,
    next: *mut Queue,
}

impl Queue {
    pub const UNLINKED: Queue = Queue { prev: null_mut(), next: null_mut() };

    /// Makes `head` an empty queue.
    ///
    /// # Safety
    /// `head` is valid for writes.
    pub unsafe fn init(head: *mut Queue) {
        // SAFETY: the contract of this function: the pointers are to a queue and its links.
        unsafe { head.write(Queue { prev: head, next: head }) }
    }

    /// The first link, or nothing.
    ///
    /// # Safety
    /// `head` is a queue, and so for the other functions here.
    pub unsafe fn first(head: *mut Queue) -> Option<*mut Queue> {
        // SAFETY: the contract of this function: the pointers are to a queue and its links.
        unsafe { Queue::unless_head((*head).next, head) }
    }

    /// The last link, or nothing.
    ///
    /// # Safety
    /// As for `first`.
    pub unsafe fn last(head: *mut Queue) -> Option<*mut Queue> {
        // SAFETY: the contract of this function: the pointers are to a queue and its links.
        unsafe { Queue::unless_head((*head).prev, head) }
    }

    /// The link before `link`, or nothing where it is the first.
    ///
    /// # Safety
    /// `link` is in the queue `head`.
    pub unsafe fn before(link: *mut Queue, head: *mut Queue) -> Option<*mut Queue> {
        // SAFETY: the contract of this function: the pointers are to a queue and its links.
        unsafe { Queue::unless_head((*link).prev, head) }
    }

    /// The link behind another one, or nothing behind the last.
    ///
    /// # Safety
    /// As for `before`.
    pub unsafe fn after(link: *mut Queue, head: *mut Queue) -> Option<*mut Queue> {
        // SAFETY: the contract of this function: the pointers are to a queue and its links.
        unsafe { Queue::unless_head((*link).next, head) }
    }

    fn unless_head(link: *mut Queue, head: *mut Queue) -> Option<*mut Queue> {
        (link != head).then_some(link)
    }

    /// Puts `link` at the front.
    ///
    /// # Safety
    /// `link` is valid and in no queue.
    pub unsafe fn push_front(head: *mut Queue, link: *mut Queue) {
        // SAFETY: `link` is as this function's contract says; the links of a queue are valid.
        unsafe {
            let next = (*head).next;
            link.write(Queue { prev: head, next });
            (*next).prev = link;
            (*head).next = link;
        }
    }

    /// Puts `link` at the back.
    ///
    /// # Safety
    /// As for `push_front`.
    pub unsafe fn push_back(head: *mut Queue, link: *mut Queue) {
        // SAFETY: the links form a circle: in front of all behind the last one is at the back. The
        // pointers are as `push_front`'s contract says.
        unsafe { Queue::push_front((*head).prev, link) }
    }

    /// Takes `link` out.
    ///
    /// # Safety
    /// `link` is in a queue.
    pub unsafe fn remove(link: *mut Queue) {
        // SAFETY: `link` is as this function's contract says; the links of a queue are valid.
        unsafe {
            (*(*link).next).prev = (*link).prev;
            (*(*link).prev).next = (*link).next;
        }
    }
}

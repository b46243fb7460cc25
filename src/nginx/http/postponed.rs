//! nginx's list of what is still to come of a request, in order: pieces of its own output, and
//! subrequests.
//!
//! A request has a place in its list while code of a filter waits. As long as the list is not
//! empty, nginx makes no subrequest of the request active (the one whose output goes to the client
//! now), and adds those that come to the list. So what is kept of the request's own output keeps
//! its order with theirs. nginx's filter that sends the list must not see the request meanwhile.

use std::ptr::{NonNull, null_mut};

use crate::nginx::core::chain::{Chain, CopiedChain};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_post_request, ngx_http_postponed_request_t};

/// A request's own entry in its list. Once closed, it can be opened again.
#[derive(Clone, Copy)]
pub struct Place {
    own: NonNull<Own>,
    request: Request,
}

/// What a place has in the pool.
struct Own {
    entry: ngx_http_postponed_request_t,
    /// The entry of the request's own output, this one or a later one, that was added to last, and
    /// its output. Null while the place is closed.
    end: *mut ngx_http_postponed_request_t,
    kept: CopiedChain,
}

/// An entry that has been taken out of the list.
pub enum Postponed {
    Output(CopiedChain),
    Subrequest(Entry),
}

/// The entry of a subrequest, and the request that it was in the list of.
pub struct Entry(NonNull<ngx_http_postponed_request_t>, Request);

impl Place {
    /// A place in the pool of `request`, not in its list yet.
    pub fn new(request: Request) -> Result<Place, OutOfMemory> {
        // SAFETY: zero is valid for the structure: null pointers, and an empty chain.
        let own = unsafe { request.pool().zeroed::<Own>()? };
        Ok(Place { own, request })
    }

    /// Puts it at the end of the list, unless it is open.
    pub fn open(self) {
        if self.is_open() {
            return;
        }
        // SAFETY: the entry lives in the pool of the request, and is in no list.
        unsafe {
            let (own, entry) = (self.own.as_ptr(), self.entry());
            own.write(Own {
                entry: ngx_http_postponed_request_t {
                    request: null_mut(),
                    out: null_mut(),
                    next: null_mut(),
                },
                end: entry,
                kept: CopiedChain::EMPTY,
            });
            *end(self.request) = entry;
        }
    }

    fn entry(self) -> *mut ngx_http_postponed_request_t {
        // SAFETY: the entry lives in the pool of a live request.
        unsafe { &raw mut (*self.own.as_ptr()).entry }
    }

    /// Whether subrequests have been made since it was opened.
    pub fn has_subrequests(self) -> bool {
        // SAFETY: the entry lives in the pool of a live request.
        unsafe { !(*self.entry()).next.is_null() }
    }

    fn is_open(self) -> bool {
        // SAFETY: the entry lives in the pool of a live request.
        unsafe { !(*self.own.as_ptr()).end.is_null() }
    }

    /// Keeps `output` at the end of the list, in links of its own.
    pub fn keep(self, output: Chain) -> Result<(), OutOfMemory> {
        let pool = self.request.pool();
        self.open();
        // SAFETY: the entries live in the pool of a live request.
        unsafe {
            let own = self.own.as_ptr();
            let mut last = (*own).end;
            while !(*last).next.is_null() {
                last = (*last).next;
            }
            if last != (*own).end {
                let fresh = pool.zeroed::<ngx_http_postponed_request_t>()?.as_ptr();
                (*last).next = fresh;
                (last, (*own).kept) = (fresh, CopiedChain::EMPTY);
                (*own).end = last;
            }
            let result = (*own).kept.keep(pool, output);
            (*last).out = (*own).kept.whole().as_ptr();
            result
        }
    }

    /// Takes it, and all that came after it, out of the list: returns the output that it keeps
    /// itself, and the other entries.
    pub fn close(self) -> (CopiedChain, List) {
        let request = self.request;
        let pool = request.pool();
        // SAFETY: nginx's list in the pool of a live request. Whoever adds output to it, `keep` or
        // nginx's filter, does so in links of the pool that are only for that.
        unsafe {
            (*self.own.as_ptr()).end = null_mut();
            let mut link = &raw mut (*request.as_ptr()).postponed;
            while let Some(entry) = (*link).as_mut() {
                if std::ptr::eq(entry, self.entry()) {
                    *link = null_mut();
                    let first = CopiedChain::from_ptr(entry.out, pool);
                    return (first, List { entry: entry.next, request: Some(request) });
                }
                link = &raw mut entry.next;
            }
        }
        (CopiedChain::EMPTY, List::EMPTY)
    }
}

/// Entries that have been taken out of a request's list.
pub struct List {
    entry: *mut ngx_http_postponed_request_t,
    /// That request, unless the list is empty.
    request: Option<Request>,
}

impl List {
    pub const EMPTY: List = List { entry: null_mut(), request: None };

    /// Whether any of them is a subrequest.
    pub fn has_subrequests(&self) -> bool {
        let mut next = self.entry;
        // SAFETY: entries live in the pool of the request, which outlives the list.
        while let Some(entry) = unsafe { next.as_ref() } {
            if !entry.request.is_null() {
                return true;
            }
            next = entry.next;
        }
        false
    }

    /// Puts what is left back at the end of the request's list.
    pub fn put_back(self) {
        let Some(request) = self.request else { return };
        // SAFETY: entries in the pool of a live request, which are in no list.
        unsafe { *end(request) = self.entry }
    }
}

impl Iterator for List {
    type Item = Postponed;

    fn next(&mut self) -> Option<Postponed> {
        let (entry, request) = (NonNull::new(self.entry)?, self.request?);
        // SAFETY: entries live in the pool of the request, which outlives the list; their output as in
        // `close`.
        unsafe {
            self.entry = entry.as_ref().next;
            if entry.as_ref().request.is_null() {
                let output = CopiedChain::from_ptr(entry.as_ref().out, request.pool());
                return Some(Postponed::Output(output));
            }
        }
        Some(Postponed::Subrequest(Entry(entry, request)))
    }
}

impl Entry {
    /// Puts it at the end of the list that it was taken from, as nginx does with a new subrequest: the
    /// subrequest becomes active if its turn has come. False without memory.
    #[must_use]
    pub fn attach(mut self) -> bool {
        let r = self.1.as_ptr();
        // SAFETY: the entry, its request and the parent live in one pool, and the entry is in no
        // list.
        unsafe {
            let entry = self.0.as_mut();
            entry.next = null_mut();
            let connection = (*r).connection;
            let is_next = (*r).postponed.is_null() && std::ptr::eq((*connection).data, r.cast());
            *end(self.1) = entry;
            if is_next {
                (*connection).data = entry.request.cast();
                return ngx_http_post_request(entry.request, null_mut()) == 0;
            }
        }
        true
    }
}

/// The link at the end of the request's list.
fn end(request: Request) -> *mut *mut ngx_http_postponed_request_t {
    // SAFETY: nginx's list in the pool of a live request.
    unsafe {
        let mut link = &raw mut (*request.as_ptr()).postponed;
        while let Some(entry) = (*link).as_mut() {
            link = &raw mut entry.next;
        }
        link
    }
}

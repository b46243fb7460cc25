//! Buffer chains, as nginx's output filters take them.

use std::ptr::{NonNull, null_mut};

use crate::nginx::core::buf::Buf;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{ngx_chain_add_copy, ngx_chain_t};

impl Default for Chain {
    fn default() -> Chain {
        Chain::EMPTY
    }
}

/// A chain that grows at its end, which it knows. Copies are the same chain; only one of them may
/// grow further.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct GrowingChain {
    chain: Chain,
    last: Option<NonNull<ngx_chain_t>>,
}

impl GrowingChain {
    pub const EMPTY: GrowingChain = GrowingChain { chain: Chain::EMPTY, last: None };

    pub fn is_empty(self) -> bool {
        self.chain.is_empty()
    }

    /// Appends `tail`, whose links nothing else may append to.
    pub fn append(&mut self, tail: Chain) {
        let Some(end) = tail.links().last() else { return };
        match self.last.replace(end) {
            // SAFETY: the last link is live (`from_ptr`'s contract), and only this appends to it.
            Some(mut last) => unsafe { last.as_mut().next = tail.0 },
            None => self.chain = tail,
        }
    }

    /// The whole of it, so far.
    pub fn whole(self) -> Chain {
        self.chain
    }
}

/// A chain of links of its own, all from one pool, for the buffers of other chains.
#[derive(Default)]
pub struct CopiedChain {
    chain: GrowingChain,
    pool: Option<Pool>,
}

impl CopiedChain {
    pub const EMPTY: CopiedChain = CopiedChain { chain: GrowingChain::EMPTY, pool: None };

    /// The chain that begins with `link`.
    ///
    /// # Safety
    /// It must be null, or a chain whose links are from `pool` and nothing else's.
    pub(in crate::nginx) unsafe fn from_ptr(link: *mut ngx_chain_t, pool: Pool) -> CopiedChain {
        let mut chain = GrowingChain::EMPTY;
        // SAFETY: null or a chain, the contract of this function.
        chain.append(unsafe { Chain::from_ptr(link) });
        CopiedChain { chain, pool: Some(pool) }
    }

    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Appends the buffers of `other`, in new links from the first pool that this is called with:
    /// without memory, the first ones of them.
    pub fn append(&mut self, pool: Pool, other: Chain) -> Result<(), OutOfMemory> {
        self.append_links(pool, other).1
    }

    /// As [`CopiedChain::append`], for buffers that are kept longer than the call that passes them.
    pub fn keep(&mut self, pool: Pool, other: Chain) -> Result<(), OutOfMemory> {
        let (links, result) = self.append_links(pool, other);
        result.and_then(|()| own_marks(pool, links))
    }

    /// Has the buffers be kept longer than the call that has passed them.
    pub fn outlast_call(&self) -> Result<(), OutOfMemory> {
        self.pool.map_or(Ok(()), |pool| own_marks(pool, self.whole()))
    }

    /// Returns the new links.
    fn append_links(&mut self, pool: Pool, other: Chain) -> (Chain, Result<(), OutOfMemory>) {
        let pool = *self.pool.get_or_insert(pool);
        let mut copy = Chain::EMPTY;
        // SAFETY: `other` is a live chain; the copy's links are in `pool`.
        let rc = unsafe { ngx_chain_add_copy(pool.as_ptr(), &mut copy.0, other.0) };
        self.chain.append(copy);
        (copy, if rc == 0 { Ok(()) } else { Err(OutOfMemory) })
    }

    /// The whole of it, so far.
    pub fn whole(&self) -> Chain {
        self.chain.whole()
    }

    /// Gives the links, not their buffers, back to the pool.
    pub fn free(self) {
        let Some(pool) = self.pool else { return };
        for mut link in self.whole().links() {
            // SAFETY: the links are from the pool, which keeps free links in a list.
            unsafe {
                link.as_mut().next = (*pool.as_ptr()).chain;
                (*pool.as_ptr()).chain = link.as_ptr();
            }
        }
    }
}

/// Replaces the buffers without bytes in the links, which are a [`CopiedChain`]'s, by copies of them.
/// Whoever made one takes it for sent after the call that passes it (`ngx_chain_update_chains` goes by
/// the size), and uses it again.
fn own_marks(pool: Pool, links: Chain) -> Result<(), OutOfMemory> {
    for mut link in links.links() {
        // SAFETY: a link of a live chain has a live buffer; the links are the copied chain's own.
        unsafe {
            let buf = Buf::from_ptr(link.as_ref().buf);
            if buf.size() == 0 {
                link.as_mut().buf = buf.marks(pool)?.as_ptr();
            }
        }
    }
    Ok(())
}

/// A list of buffers; copies are the same list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain(*mut ngx_chain_t);

impl Chain {
    pub const EMPTY: Chain = Chain(null_mut());

    /// # Safety
    /// `chain` must be null or a chain whose pool outlives the value.
    pub unsafe fn from_ptr(chain: *mut ngx_chain_t) -> Chain {
        Chain(chain)
    }

    pub fn as_ptr(self) -> *mut ngx_chain_t {
        self.0
    }

    pub fn is_empty(self) -> bool {
        self.0.is_null()
    }

    /// The links, first to last.
    pub fn links(self) -> impl Iterator<Item = NonNull<ngx_chain_t>> {
        let mut next = self.0;
        std::iter::from_fn(move || {
            let link = NonNull::new(next)?;
            // SAFETY: `from_ptr`'s contract: each link is live.
            next = unsafe { link.as_ref().next };
            Some(link)
        })
    }

    /// The buffers, first to last.
    pub fn bufs(self) -> impl Iterator<Item = Buf> {
        // SAFETY: a link of a live chain holds a live buffer.
        self.links().map(|link| unsafe { Buf::from_ptr(link.as_ref().buf) })
    }

    /// Appends `tail` at the end, which is looked for: for chains of a few links.
    pub fn append(&mut self, tail: Chain) {
        match self.links().last() {
            // SAFETY: the last link is live, and nothing else holds a reference to it.
            Some(mut last) => unsafe { last.as_mut().next = tail.0 },
            None => *self = tail,
        }
    }

    /// The total number of bytes in memory buffers.
    pub fn memory_len(self) -> usize {
        self.bufs().map(|buf| buf.memory().len()).sum()
    }
}

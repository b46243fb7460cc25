//! The state of a response's body filter between its calls, and the chain that `ngx.arg` shows.

use std::cell::{Cell, OnceCell};

use super::context::Context;
use crate::nginx::core::buf::{Buf, OwnBuf};
use crate::nginx::core::chain::{Chain, CopiedChain};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::postponed::Place;
use crate::nginx::http::response_buffers::ResponseBuffers;
use crate::nginx::http::send;

/// What of a response waits for a filter's code.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Waiting {
    #[default]
    Nothing,
    /// The header, and the body behind it.
    Header,
    /// The body.
    Body,
    /// The code has failed after a wait: the rest of the response is dropped.
    Failed,
}

/// The state of `body_filter_by_lua*` for one request.
pub struct BodyFilter {
    pub waits: Cell<Waiting>,
    /// The response's place in nginx's list of postponed output, where its output is kept while
    /// code waits. `None` before the first wait, and for a captured subrequest.
    pub place: Cell<Option<Place>>,
    /// The header filter has replaced the response after a wait: what still comes of it is dropped.
    pub replaced: Cell<bool>,
    /// After the wait, the header said that there is no body: what still comes of one is dropped.
    pub bodiless: Cell<bool>,
    /// A filter has just failed for output of a captured subrequest, for which nginx marks the client's connection as
    /// broken, which it is not.
    pub has_refused: Cell<bool>,
    /// Input that the code has not seen yet.
    pub waiting: Cell<CopiedChain>,
    /// Input that the code has been given, until it ends.
    pub given: Cell<CopiedChain>,
    /// While the code runs: its input, or what it has replaced that with.
    pub chain: Cell<Chain>,
    /// The length of `chain`, as code that is about to copy it has been told.
    pub told: Cell<usize>,
    /// Buffers of this filter's own, once it needs some: see [`buffers`].
    pub buffers: OnceCell<ResponseBuffers>,
    /// The end of the response has passed: anything after it is dropped.
    pub seen_last: Cell<bool>,
}

impl BodyFilter {
    pub const fn new() -> BodyFilter {
        BodyFilter {
            waits: Cell::new(Waiting::Nothing),
            place: Cell::new(None),
            replaced: Cell::new(false),
            bodiless: Cell::new(false),
            has_refused: Cell::new(false),
            waiting: Cell::new(CopiedChain::EMPTY),
            given: Cell::new(CopiedChain::EMPTY),
            chain: Cell::new(Chain::EMPTY),
            told: Cell::new(0),
            buffers: OnceCell::new(),
            seen_last: Cell::new(false),
        }
    }

    /// Whether the chain holds the end of the response.
    pub fn is_eof(&self) -> bool {
        self.chain.get().bufs().any(|buf| buf.is_last())
    }

    /// The bytes up to the end of the response, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = Buf> {
        let mut ended = false;
        self.chain.get().bufs().take_while(move |buf| !std::mem::replace(&mut ended, buf.is_last()))
    }
}

impl Default for BodyFilter {
    fn default() -> Self {
        Self::new()
    }
}

/// The buffers of the filter's own.
pub fn buffers(context: &Context) -> &ResponseBuffers {
    context.filter.buffers.get_or_init(|| ResponseBuffers::new(context.request()))
}

/// Whose buffers `buf` is one of, by its tag, if it comes from this module's code.
pub fn maker(context: &Context, buf: Buf) -> Option<&ResponseBuffers> {
    match buf.tag() {
        tag if tag == send::tag() => Some(&context.response),
        tag if tag == send::filter_tag() => context.used()?.filter.buffers.get(),
        _ => None,
    }
}

/// `ngx.arg[1] = data`: replaces the chain by one buffer, which gets the flags of the old ones.
pub fn replace_body(context: &Context, data: &[u8]) -> Result<(), OutOfMemory> {
    let filter = &context.filter;
    let before = filter.chain.get();
    let (mut last, mut flush) = (false, false);
    for mut buf in before.bufs() {
        last |= buf.is_last();
        flush |= buf.is_flush();
        buf.consume();
    }
    if data.is_empty() && !last && !flush {
        filter.chain.set(Chain::EMPTY);
        give_back(context, before);
        return Ok(());
    }
    let request = context.request();
    let (chain, mut buf) = new_buf(context, data.len())?;
    buf.write(data);
    if last {
        filter.seen_last.set(true);
        buf.set_end(request.is_subrequest());
    }
    if flush {
        buf.set_flush();
    }
    filter.chain.set(chain);
    give_back(context, before);
    Ok(())
}

/// Gives back what the code itself has put into the place of its input, and replaced then. The links of the input
/// are not this filter's: no buffer there has its tag, because a response passes the filter once.
fn give_back(context: &Context, replaced: Chain) {
    let tag = send::filter_tag();
    if replaced.bufs().next().is_some_and(|buf| buf.has_tag(tag)) {
        buffers(context).sent(replaced, tag);
    }
}

/// `ngx.arg[2] = eof`: the response ends here, or does not.
pub fn set_eof(context: &Context, eof: bool) -> Result<(), OutOfMemory> {
    let filter = &context.filter;
    filter.seen_last.set(eof);
    if !eof {
        for mut buf in filter.chain.get().bufs() {
            buf.clear_last();
        }
        return Ok(());
    }
    let mut last = match filter.chain.get().bufs().last() {
        Some(buf) => buf,
        None => {
            // The code has dropped all data: the end needs a buffer of its own.
            let (chain, buf) = new_buf(context, 0)?;
            filter.chain.set(chain);
            *buf
        }
    };
    last.set_end(context.request().is_subrequest());
    Ok(())
}

fn new_buf(context: &Context, len: usize) -> Result<(Chain, OwnBuf), OutOfMemory> {
    buffers(context).take(len, send::filter_tag())
}

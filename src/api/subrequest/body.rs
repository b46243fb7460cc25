//! The body of a captured response. The output of subrequests that other modules make of the
//! captured one belongs to it too: the place of each is where the output of its parent was when the
//! parent made it.

use std::mem::replace;

use codec::fallible::OutOfMemory;
use smallvec::SmallVec;

use crate::nginx::core::chain::{CopiedChain, GrowingChain};
use crate::nginx::http::nested;
use crate::nginx::{Chain, Request};

/// The body in pieces, each the output of one request, in their order.
#[derive(Default)]
pub struct Body(SmallVec<[Piece; 1]>);

struct Piece {
    request: Request,
    chain: GrowingChain,
    state: PieceState,
}

enum PieceState {
    /// More output of the request is added here as long as no other piece comes next.
    Plain,
    /// This is to be added here, but has not passed the filters yet, because a filter's code waits.
    Kept(CopiedChain),
    /// What was kept passes the filters now: all output of the request is added here.
    Passing,
}

impl Body {
    /// Adds output of `request`, which is `root`, the captured one, or belongs to it. That of a
    /// request that has no place (one in the background) is dropped.
    pub fn append(
        &mut self,
        root: Request,
        request: Request,
        output: Chain,
    ) -> Result<(), OutOfMemory> {
        self.give_places(root, request)?;
        if let Some(passing) = self.passing(request) {
            passing.chain.append(output);
            return Ok(());
        }
        let end = self.end_of(request);
        if request != root && end == 0 {
            return Ok(());
        }
        match self.0.get_mut(end.wrapping_sub(1)) {
            Some(last) if last.request == request => {
                last.chain.append(output);
                Ok(())
            }
            _ => self.insert(end, request, output, PieceState::Plain),
        }
    }

    /// A filter's code starts to wait, and output of `request` is to be kept meanwhile: its place
    /// is where output of the request is added now.
    pub fn begin_keeping(&mut self, root: Request, request: Request) -> Result<(), OutOfMemory> {
        match self.passing(request) {
            Some(passing) => {
                passing.state = PieceState::Kept(CopiedChain::EMPTY);
                Ok(())
            }
            None => self.keep(root, request, |_| Ok(())),
        }
    }

    /// Output of `request` is kept at the end of what there is of it. `keep` gets what is kept
    /// there, and adds to it.
    pub fn keep(
        &mut self,
        root: Request,
        request: Request,
        keep: impl FnOnce(&mut CopiedChain) -> Result<(), OutOfMemory>,
    ) -> Result<(), OutOfMemory> {
        self.give_places(root, request)?;
        let end = self.end_of(request);
        if let Some(last) = self.0.get_mut(end.wrapping_sub(1))
            && last.request == request
        {
            if let PieceState::Kept(kept) = &mut last.state {
                return keep(kept);
            }
            let mut kept = CopiedChain::EMPTY;
            keep(&mut kept)?;
            last.state = PieceState::Kept(kept);
            return Ok(());
        }
        let mut kept = CopiedChain::EMPTY;
        keep(&mut kept)?;
        self.insert(end, request, Chain::EMPTY, PieceState::Kept(kept))
    }

    /// Whether there is anything of `request`, or of what belongs to it, behind the first place
    /// where output of it is kept.
    pub fn has_more(&mut self, root: Request, request: Request) -> bool {
        if self.give_places(root, request).is_err() {
            return true;
        }
        let is_kept = |piece: &Piece| matches!(piece.state, PieceState::Kept(_));
        let first = self.0.iter().position(|piece| piece.request == request && is_kept(piece));
        first.is_some_and(|first| first + 1 < self.end_of(request))
    }

    /// What is kept of `request` passes the filters, piece by piece: returns the next one.
    pub fn next_kept(&mut self, request: Request) -> Option<CopiedChain> {
        if let Some(passed) = self.passing(request) {
            passed.state = PieceState::Plain;
        }
        self.0.iter_mut().filter(|piece| piece.request == request).find_map(|piece| {
            if !matches!(piece.state, PieceState::Kept(_)) {
                return None;
            }
            match replace(&mut piece.state, PieceState::Passing) {
                PieceState::Kept(kept) => Some(kept),
                _ => None,
            }
        })
    }

    /// The piece of `request` that passes the filters now.
    fn passing(&mut self, request: Request) -> Option<&mut Piece> {
        let is_passing = |piece: &Piece| matches!(piece.state, PieceState::Passing);
        self.0.iter_mut().find(|piece| piece.request == request && is_passing(piece))
    }

    /// Gives a place to each subrequest of `request`, and of the requests above it up to `root`,
    /// that has none.
    fn give_places(&mut self, root: Request, request: Request) -> Result<(), OutOfMemory> {
        if request != root
            && let Some(parent) = request.parent()
        {
            self.give_places(root, parent)?;
        }
        for child in nested::waited_for(request) {
            if !self.0.iter().any(|piece| piece.request == child) {
                let end = self.end_of(request);
                self.insert(end, child, Chain::EMPTY, PieceState::Plain)?;
            }
        }
        Ok(())
    }

    /// The index after the last piece of `request` and of what belongs to it.
    fn end_of(&self, request: Request) -> usize {
        self.0.iter().rposition(|piece| belongs(piece.request, request)).map_or(0, |last| last + 1)
    }

    /// Inserts a piece at `index`.
    fn insert(
        &mut self,
        index: usize,
        request: Request,
        output: Chain,
        state: PieceState,
    ) -> Result<(), OutOfMemory> {
        self.0.try_reserve(1).map_err(|_| OutOfMemory)?;
        let mut chain = GrowingChain::default();
        chain.append(output);
        self.0.insert(index, Piece { request, chain, state });
        Ok(())
    }

    /// Takes the whole body.
    pub fn take(&mut self) -> Chain {
        let mut whole = GrowingChain::default();
        for piece in self.0.drain(..) {
            whole.append(piece.chain.whole());
        }
        whole.whole()
    }
}

/// Whether `request` is `above` or a subrequest of it, however deep.
fn belongs(request: Request, above: Request) -> bool {
    let mut current = Some(request);
    while let Some(r) = current {
        if r == above {
            return true;
        }
        current = r.parent();
    }
    false
}

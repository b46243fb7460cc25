//! The body of a captured response. Subrequests that other modules make of the captured one write
//! to it too: each has its place in it, which is where its parent was when it made it.

use codec::fallible::OutOfMemory;
use smallvec::SmallVec;

use crate::nginx::http::nested;
use crate::nginx::{Chain, Request};

/// The body in pieces, each of one request, in their order.
#[derive(Default)]
pub struct Body(SmallVec<[Piece; 1]>);

struct Piece {
    request: Request,
    chain: Chain,
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
        let end = self.end_of(request);
        if request != root && end == 0 {
            return Ok(());
        }
        match self.0.get_mut(end.wrapping_sub(1)) {
            Some(last) if last.request == request => last.chain.append(output),
            _ => self.insert(end, Piece { request, chain: output })?,
        }
        Ok(())
    }

    /// Gives a place to each subrequest of `request` and of those above it that has none.
    fn give_places(&mut self, root: Request, request: Request) -> Result<(), OutOfMemory> {
        if request != root
            && let Some(parent) = request.parent()
        {
            self.give_places(root, parent)?;
        }
        for child in nested::waited_for(request) {
            if !self.0.iter().any(|piece| piece.request == child) {
                let end = self.end_of(request);
                self.insert(end, Piece { request: child, chain: Chain::EMPTY })?;
            }
        }
        Ok(())
    }

    /// The index after the last piece of `request` and of what belongs to it.
    fn end_of(&self, request: Request) -> usize {
        self.0.iter().rposition(|piece| belongs(piece.request, request)).map_or(0, |last| last + 1)
    }

    fn insert(&mut self, index: usize, piece: Piece) -> Result<(), OutOfMemory> {
        self.0.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.0.insert(index, piece);
        Ok(())
    }

    /// Takes the whole of it.
    pub fn take(&mut self) -> Chain {
        let mut whole = Chain::EMPTY;
        for piece in self.0.drain(..) {
            whole.append(piece.chain);
        }
        whole
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

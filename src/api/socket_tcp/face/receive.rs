//! Reading what has been received already.

use crate::api::socket_tcp::input::Want;
use crate::api::socket_tcp::receive::ReceiveProgress;
use crate::api::socket_tcp::socket::Socket;
use crate::ngx_debug;
use crate::runtime::Context;

/// After so many reads that have left something for the next one, a socket uses the face.
const MANY: u8 = 2;
/// It uses it.
const IN_USE: u8 = u8::MAX;

impl Socket {
    /// Notes a read that has not waited.
    #[inline(always)]
    pub fn note_read(&self) {
        if !self.input.borrow().is_empty() {
            self.buffered_reads.set(self.buffered_reads.get().saturating_add(1));
        }
    }

    /// Whether the socket is to use the face from now on; true once only.
    #[inline(always)]
    pub fn takes_face(&self) -> bool {
        let takes = (MANY..IN_USE).contains(&self.buffered_reads.get());
        if takes {
            self.buffered_reads.set(IN_USE);
        }
        takes
    }

    /// Copies what `receive` is to return for `want`, a line or a size, into `room`, and removes it from what
    /// has been received. Returns its length.
    ///
    /// `None`, and nothing has been removed, where that is not all that `receive` has to do, or `room` is too
    /// small.
    #[inline(always)]
    pub fn receive_buffered(&self, want: Want, room: &mut [u8]) -> Option<usize> {
        let stream = self.stream.get()?;
        // One for the request body must look whether that has ended.
        if self.reads_body() || self.read_closed.get() || !self.runs_for_owner() {
            return None;
        }
        if self.busy(true, false).is_some() {
            return None;
        }
        let (length, taken) = self.input.borrow().copy(&want, room)?;
        let log = self.request.get().log();
        ngx_debug!(log, "lua tcp socket calling receive() method");
        ngx_debug!(log, "lua tcp socket read timeout: {}", self.timeouts.get().read);
        ngx_debug!(log, "lua tcp socket read {}", self.input.borrow().description(&want));
        if !matches!(self.complete(stream), ReceiveProgress::Complete) {
            return None;
        }
        ngx_debug!(log, "lua tcp socket receive done in a single run");
        ngx_debug!(log, "lua tcp socket receive return value handler");
        self.answer_due.set(false);
        self.input.borrow_mut().remove(taken);
        Some(length)
    }

    /// Whether the code that calls runs for the request that owns the socket.
    #[inline(always)]
    fn runs_for_owner(&self) -> bool {
        let owner = self.request.get();
        Context::with_innermost(|context| context.is_some_and(|context| context.request() == owner))
    }
}

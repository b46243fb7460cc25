//! What is particular to a socket of the request body: where the body ends, and how nginx's own reader
//! is read from.

use super::receive::Fetched;
use super::socket::{Socket, SocketKind};
use crate::api::socket_failure::SocketFailure;
use crate::nginx::http::client_socket;
use crate::nginx::http::request_body::unbuffered::{self, Progress};
use crate::ngx_debug;

impl Socket {
    /// Whether it is one of the body, and no more of that will come.
    #[inline(always)]
    pub fn has_read_body(&self) -> bool {
        match self.kind {
            SocketKind::Body => client_socket::body_rest(self.request.get()) == 0,
            SocketKind::Unbuffered => unbuffered::is_over(self.request.get()),
            SocketKind::Upstream | SocketKind::Raw => false,
        }
    }

    /// Takes what nginx's reader has already; false without memory.
    pub fn take_unbuffered(&self) -> bool {
        let mut input = self.input.borrow_mut();
        unbuffered::take(self.request.get(), |bytes| input.append(bytes)) != Progress::NoMemory
    }

    /// Has nginx's reader read on.
    pub(super) fn fetch_unbuffered(&self) -> Fetched {
        let mut input = self.input.borrow_mut();
        let before = input.len();
        let progress = unbuffered::read(self.request.get(), |bytes| input.append(bytes));
        ngx_debug!(
            self.request.get().log(),
            "lua request body read: {progress:?}, {} bytes",
            input.len() - before
        );
        match progress {
            Progress::Data => Fetched::Some,
            Progress::Nothing => Fetched::Nothing,
            Progress::End => {
                self.ended.set(true);
                Fetched::Some
            }
            Progress::NoMemory => Fetched::Failed(SocketFailure::NoMemory),
            Progress::Failed(rc) => Fetched::Failed(SocketFailure::of_body(rc)),
        }
    }
}

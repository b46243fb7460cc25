//! What only a socket for the request body needs: where the body ends, and reading through nginx's
//! own reader of it.

use super::receive::Fetched;
use super::socket::{Socket, SocketKind};
use crate::api::socket_failure::SocketFailure;
use crate::nginx::http::client_socket;
use crate::nginx::http::request_body::unbuffered::{self, BodyProgress};
use crate::ngx_debug;

impl Socket {
    /// Whether it is a socket for the request body, all of which has been read from the connection.
    #[inline(always)]
    pub fn has_read_body(&self) -> bool {
        match self.kind {
            SocketKind::Body => client_socket::body_rest(self.request.get()) == 0,
            SocketKind::Unbuffered => unbuffered::has_ended(self.request.get()),
            SocketKind::Upstream | SocketKind::Raw => false,
        }
    }

    /// Takes what nginx's reader has read already; false without memory.
    pub fn take_unbuffered(&self) -> bool {
        let mut input = self.input.borrow_mut();
        unbuffered::take(self.request.get(), |bytes| input.append(bytes)) != BodyProgress::NoMemory
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
            BodyProgress::Data => Fetched::Some,
            BodyProgress::Nothing => Fetched::Nothing,
            BodyProgress::End => {
                self.ended.set(true);
                Fetched::Some
            }
            BodyProgress::NoMemory => Fetched::Failed(SocketFailure::NoMemory),
            BodyProgress::Failed(rc) => Fetched::Failed(SocketFailure::of_body(rc)),
        }
    }
}

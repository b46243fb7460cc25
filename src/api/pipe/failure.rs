//! Why an operation on a process failed, in upstream's words.

use std::borrow::Cow;
use std::io;

use crate::nginx::core::strings::strerror;
use crate::nginx::event::NoConnection;

/// The text that Lua code gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(pub Cow<'static, str>);

impl Failure {
    /// The stream is closed, by this side, by the other, or with the process.
    pub const CLOSED: Failure = Failure::text("closed");
    /// The process has ended and its status was taken.
    pub const EXITED: Failure = Failure::text("exited");
    /// The stream was shut down while a task waited for it.
    pub const ABORTED: Failure = Failure::text("aborted");
    pub const TIMEOUT: Failure = Failure::text("timeout");
    pub const NO_MEMORY: Failure = Failure::text("no memory");
    pub const MERGED: Failure = Failure::text("merged to stdout");
    pub const BUSY_READING: Failure = Failure::text("pipe busy reading");
    pub const BUSY_WRITING: Failure = Failure::text("pipe busy writing");
    pub const BUSY_WAITING: Failure = Failure::text("pipe busy waiting");
    pub const READ_EVENT: Failure = Failure::text("failed to add read event");
    pub const WRITE_EVENT: Failure = Failure::text("failed to add write event");

    pub const fn text(text: &'static str) -> Failure {
        Failure(Cow::Borrowed(text))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::CLOSED,
            _ => Failure(strerror(&error).into()),
        }
    }
}

impl From<NoConnection> for Failure {
    fn from(_: NoConnection) -> Failure {
        Failure::text("no connection")
    }
}

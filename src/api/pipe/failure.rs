//! Why an operation on a process failed, with the C module's texts.

use std::borrow::Cow;
use std::io;

use crate::nginx::core::strings::strerror;
use crate::nginx::event::NoConnection;

/// The text that Lua code gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PipeFailure(pub Cow<'static, str>);

impl PipeFailure {
    /// The stream is closed: by this side, by the process, or because the process has no owner any
    /// more.
    pub const CLOSED: PipeFailure = PipeFailure::text("closed");
    /// The process has exited and its status has been returned.
    pub const EXITED: PipeFailure = PipeFailure::text("exited");
    /// The stream was shut down while a task waited for it.
    pub const ABORTED: PipeFailure = PipeFailure::text("aborted");
    pub const TIMEOUT: PipeFailure = PipeFailure::text("timeout");
    pub const NO_MEMORY: PipeFailure = PipeFailure::text("no memory");
    pub const MERGED: PipeFailure = PipeFailure::text("merged to stdout");
    pub const BUSY_READING: PipeFailure = PipeFailure::text("pipe busy reading");
    pub const BUSY_WRITING: PipeFailure = PipeFailure::text("pipe busy writing");
    pub const BUSY_WAITING: PipeFailure = PipeFailure::text("pipe busy waiting");
    pub const READ_EVENT: PipeFailure = PipeFailure::text("failed to add read event");
    pub const WRITE_EVENT: PipeFailure = PipeFailure::text("failed to add write event");

    pub const fn text(text: &'static str) -> PipeFailure {
        PipeFailure(Cow::Borrowed(text))
    }
}

impl From<io::Error> for PipeFailure {
    fn from(error: io::Error) -> PipeFailure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => PipeFailure::CLOSED,
            _ => PipeFailure(strerror(&error).into()),
        }
    }
}

impl From<NoConnection> for PipeFailure {
    fn from(_: NoConnection) -> PipeFailure {
        PipeFailure::text("no connection")
    }
}

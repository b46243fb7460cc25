//! Why a cosocket's method fails, in the words that Lua code gets.

use std::borrow::Cow;

use crate::nginx::event::stream::describe_error;
use crate::nginx::event::{NoConnection, Refusal};

/// The second result of a method that failed.
#[derive(Clone, Debug)]
pub enum Failure {
    Timeout,
    Closed,
    ClientAborted,
    NoMemory,
    /// Something in nginx failed; its log has more.
    Error,
    /// The system's error number.
    System(i32),
    /// A text of its own.
    Text(Cow<'static, str>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NoConnection => Failure::text(NoConnection::TEXT),
            Refusal::System(error) => Failure::System(error),
        }
    }
}

impl Failure {
    pub fn text(text: impl Into<Cow<'static, str>>) -> Failure {
        Failure::Text(text.into())
    }

    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Failure::Timeout => "timeout".into(),
            Failure::Closed => "closed".into(),
            Failure::ClientAborted => "client aborted".into(),
            Failure::NoMemory => "no memory".into(),
            Failure::Error | Failure::System(0) => "error".into(),
            Failure::System(error) => describe_error(*error).into(),
            Failure::Text(text) => text.clone(),
        }
    }

    /// Whether reading can go on afterwards.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Failure::Timeout)
    }
}

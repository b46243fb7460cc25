//! Why a method of a TCP or UDP cosocket fails, and the text that Lua code gets for it.

use std::borrow::Cow;
use std::fmt;

use codec::fallible::{self, Shown};

use crate::api::call::Call;
use crate::lua::{LuaError, State};
use crate::nginx::core::address::BadHost;
use crate::nginx::event::resolver::ResolveError;
use crate::nginx::event::stream::describe_error;
use crate::nginx::event::{NoConnection, Refusal};
use crate::nginx::{Request, Status};

/// Why a method failed; [`SocketFailure::message`] is its second result in Lua.
#[derive(Clone, Debug)]
pub enum SocketFailure {
    Timeout,
    Closed,
    ClientAborted,
    NoMemory,
    /// Something in nginx failed; its log has more.
    Error,
    /// A system call failed, with this error number; 0 if there is none.
    System(i32),
    /// Anything else, with the text for Lua.
    Text(Cow<'static, str>),
}

/// Raises "bad request" unless the code of `call` runs for `owner`, the request that a socket belongs to.
#[inline]
pub fn check_owner(call: &Call, owner: Request) -> Result<(), LuaError> {
    if owner == call.request { Ok(()) } else { Err(LuaError::text("bad request")) }
}

impl From<Refusal> for SocketFailure {
    fn from(refusal: Refusal) -> SocketFailure {
        match refusal {
            Refusal::NoConnection => SocketFailure::text(NoConnection::TEXT),
            Refusal::System(error) => SocketFailure::System(error),
        }
    }
}

impl SocketFailure {
    pub const fn text(text: &'static str) -> SocketFailure {
        SocketFailure::Text(Cow::Borrowed(text))
    }

    /// A failure with a formatted text.
    pub fn with(text: fmt::Arguments<'_>) -> SocketFailure {
        SocketFailure::Text(fallible::text(text).into())
    }

    /// The failure for `rc`, the status with which nginx failed to read the request body.
    pub fn of_body(rc: Status) -> SocketFailure {
        match rc.0 {
            400 => SocketFailure::text("invalid request body"),
            413 => SocketFailure::text("request body too large"),
            499 => SocketFailure::ClientAborted,
            _ => SocketFailure::Error,
        }
    }

    pub fn bad_port(port: i64) -> SocketFailure {
        SocketFailure::with(format_args!("bad port number: {port}"))
    }

    pub fn bad_host(host: &[u8], BadHost(reason): BadHost) -> SocketFailure {
        let host = Shown(host);
        match reason {
            Some(reason) => {
                SocketFailure::with(format_args!("failed to parse host name \"{host}\": {reason}"))
            }
            None => SocketFailure::with(format_args!("failed to parse host name \"{host}\"")),
        }
    }

    pub fn not_resolved(name: &[u8], error: ResolveError) -> SocketFailure {
        let name = Shown(name);
        match error {
            ResolveError::NotStarted => SocketFailure::text("failed to start the resolver"),
            ResolveError::NoResolver => {
                SocketFailure::with(format_args!("no resolver defined to resolve \"{name}\""))
            }
            ResolveError::Refused => {
                SocketFailure::with(format_args!("{name} could not be resolved"))
            }
            ResolveError::Failed(code, why) => {
                SocketFailure::with(format_args!("{name} could not be resolved ({code}: {why})"))
            }
        }
    }

    pub fn message(&self) -> Cow<'static, str> {
        match self {
            SocketFailure::Timeout => "timeout".into(),
            SocketFailure::Closed => "closed".into(),
            SocketFailure::ClientAborted => "client aborted".into(),
            SocketFailure::NoMemory => fallible::NO_MEMORY.into(),
            SocketFailure::Error | SocketFailure::System(0) => "error".into(),
            SocketFailure::System(error) => describe_error(*error).into(),
            SocketFailure::Text(text) => text.clone(),
        }
    }

    /// Pushes `nil` and the text.
    #[cold]
    pub fn push(&self, state: State) {
        state.push_nil();
        state.push_str(&self.message());
    }

    /// Whether it is a timeout, after which the socket can still be read.
    pub fn is_timeout(&self) -> bool {
        matches!(self, SocketFailure::Timeout)
    }
}

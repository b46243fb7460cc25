//! Why a method fails, in the words that Lua code gets.

use std::borrow::Cow;

use codec::fallible::{self, Shown};

use crate::nginx::core::address::BadHost;
use crate::nginx::event::resolver::ResolveError;
use crate::nginx::event::stream::describe_error;
use crate::nginx::event::{NoConnection, Refusal};

/// The second result of a method that failed.
#[derive(Clone, Debug)]
pub enum Failure {
    Timeout,
    Closed,
    Busy,
    NoMemory,
    PartialWrite,
    NoConnection,
    /// The system's error number; 0 where nginx refused something, and its log has more.
    System(i32),
    BadPort(i64),
    BadHost(Vec<u8>, BadHost),
    NotResolved(Vec<u8>, ResolveError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NoConnection => Failure::NoConnection,
            Refusal::System(error) => Failure::System(error),
        }
    }
}

impl Failure {
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Failure::Timeout => "timeout".into(),
            Failure::Closed => "closed".into(),
            Failure::Busy => "socket busy".into(),
            Failure::NoMemory => "no memory".into(),
            Failure::PartialWrite => "partial write".into(),
            Failure::NoConnection => NoConnection::TEXT.into(),
            Failure::System(0) => "error".into(),
            Failure::System(error) => describe_error(*error).into(),
            Failure::BadPort(port) => {
                fallible::text(format_args!("bad port number: {port}")).into()
            }
            Failure::BadHost(host, BadHost(reason)) => bad_host(host, *reason).into(),
            Failure::NotResolved(name, error) => not_resolved(name, *error),
        }
    }
}

fn bad_host(host: &[u8], reason: Option<&str>) -> String {
    let host = Shown(host);
    match reason {
        Some(reason) => {
            fallible::text(format_args!("failed to parse host name \"{host}\": {reason}"))
        }
        None => fallible::text(format_args!("failed to parse host name \"{host}\"")),
    }
}

fn not_resolved(name: &[u8], error: ResolveError) -> Cow<'static, str> {
    let name = Shown(name);
    match error {
        ResolveError::NotStarted => "failed to start the resolver".into(),
        ResolveError::NoResolver => {
            fallible::text(format_args!("no resolver defined to resolve \"{name}\"")).into()
        }
        ResolveError::Refused => {
            fallible::text(format_args!("{name} could not be resolved")).into()
        }
        ResolveError::Failed(code, text) => {
            fallible::text(format_args!("{name} could not be resolved ({code}: {text})")).into()
        }
    }
}

//! Responses of the content handlers that show the inside of a worker (`lua_status`, `lua_threads`,
//! `lua_profile`), and the arguments of their requests.

use codec::args;
use codec::fallible::{self, OutOfMemory};

use crate::nginx::Status;

/// What a response is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
    Prometheus,
    /// Folded stacks: a line for each stack, with a number.
    Folded,
    /// A picture of folded stacks.
    Svg,
}

impl Format {
    /// The format `name`, which is the value of the argument `format`, if it is among `known`.
    pub fn named(name: &[u8], known: &[Format]) -> Result<Format, BadArgument> {
        known.iter().copied().find(|format| format.name() == name).ok_or(BadArgument)
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Format::Text => b"text",
            Format::Json => b"json",
            Format::Prometheus => b"prometheus",
            Format::Folded => b"folded",
            Format::Svg => b"svg",
        }
    }

    /// The response's Content-Type.
    pub const fn content_type(self) -> &'static [u8] {
        match self {
            Format::Text | Format::Folded => b"text/plain",
            Format::Json => b"application/json",
            Format::Prometheus => b"text/plain; version=0.0.4",
            Format::Svg => b"image/svg+xml",
        }
    }
}

/// An argument has a value that it cannot have.
#[derive(Debug)]
pub struct BadArgument;

/// Gives the name and the value of each argument of a query string to `take`, until it refuses one.
pub fn for_each_argument(
    query: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), BadArgument>,
) -> Result<Result<(), BadArgument>, OutOfMemory> {
    let mut query = fallible::copy(query)?;
    let mut all = Ok(());
    args::decode(&mut query, 0, |name, value| {
        if all.is_ok() {
            all = take(name, value.unwrap_or_default());
        }
    });
    Ok(all)
}

/// A whole response.
pub struct Answer {
    pub status: Status,
    pub format: Format,
    pub body: Vec<u8>,
}

impl Answer {
    /// One with status 200.
    pub fn new(format: Format, body: Vec<u8>) -> Answer {
        Answer { status: Status::HTTP_OK, format, body }
    }
}

/// Is called with an answer once it has been made, or with an error if there was no memory for it;
/// meanwhile, nginx serves other requests.
pub type Done = Box<dyn FnOnce(Result<Answer, OutOfMemory>)>;

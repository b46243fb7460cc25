//! Lua patterns: what `string.gsub` finds and makes, as LuaJIT's own does.
//!
//! A pattern is followed from left to right and not compiled, so an error in it shows only when a
//! match comes to it. Neither the pattern nor the subject is trusted; attempts nest as deep as in
//! LuaJIT.

use std::fmt;

use crate::fallible::OutOfMemory;

pub use self::captures::Capture;
pub use self::substitution::Substitution;

mod captures;
mod class;
mod pattern;
mod search;
mod substitution;
#[cfg(test)]
mod tests;

/// What is wrong with a pattern. `Display` gives LuaJIT's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    EndsWithEscape,
    MissingBracket,
    MissingSet,
    Unbalanced,
    InvalidCapture,
    InvalidIndex,
    TooManyCaptures,
    UnfinishedCapture,
    TooComplex,
    NoMemory,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternError::EndsWithEscape => "malformed pattern (ends with '%')",
            PatternError::MissingBracket => "malformed pattern (missing ']')",
            PatternError::MissingSet => "missing '[' after '%f' in pattern",
            PatternError::Unbalanced => "unbalanced pattern",
            PatternError::InvalidCapture => "invalid pattern capture",
            PatternError::InvalidIndex => "invalid capture index",
            PatternError::TooManyCaptures => "too many captures",
            PatternError::UnfinishedCapture => "unfinished capture",
            PatternError::TooComplex => "pattern too complex",
            PatternError::NoMemory => "not enough memory",
        })
    }
}

impl std::error::Error for PatternError {}

impl From<OutOfMemory> for PatternError {
    fn from(_: OutOfMemory) -> Self {
        PatternError::NoMemory
    }
}

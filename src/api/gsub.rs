//! What `lua/string_gsub.lua` calls: `string.gsub` in Lua, so that the function which replaces the
//! matches may wait.
//!
//! A substitution is a userdata that Lua code keeps between the matches. [`codec::lua_pattern`]
//! looks for matches, and makes the new text.

use std::cell::RefCell;
use std::rc::Rc;

use codec::fallible;
use codec::lua_pattern::{Capture, PatternError, Substitution};

use crate::lua::function::wrap;
use crate::lua::registry::SUBSTITUTION_METATABLE;
use crate::lua::{Kind, LuaError, LuaResult, Outcome, Returns, State, userdata};
use crate::nginx::core::allocator;

/// Replaces LuaJIT's own function.
pub fn inject(mut state: State) {
    userdata::inject::<Shared>(state, SUBSTITUTION_METATABLE);
    let code = include_bytes!("../../lua/string_gsub.lua");
    if state.load(code, c"=string.gsub") == Outcome::Done {
        state.push_function(wrap(new));
        state.push_function(wrap(begin));
        state.push_function(wrap(step));
        state.push_function(wrap(captures));
        state.call_raising(4, 0);
    }
}

/// A substitution, and whether its replacements are looked up in a table, each by the match's first
/// capture.
#[derive(Default)]
struct Work {
    substitution: Substitution,
    looks_up: bool,
}

type Shared = Rc<RefCell<Work>>;

/// Why a substitution fails.
enum Failure {
    Pattern(PatternError),
    /// The value that was to replace a match is of this kind.
    Value(Kind),
}

impl<E: Into<PatternError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Pattern(error.into())
    }
}

/// A new substitution.
fn new(state: State) -> LuaResult {
    allocator::check()?;
    userdata::push::<Shared>(state, Shared::default(), SUBSTITUTION_METATABLE);
    Ok(Returns::Values(1))
}

/// `(substitution, …)`, where the others are the arguments of `string.gsub`: looks for the first
/// match, and returns what [`step`] returns. Returns nothing if the arguments are wrong.
fn begin(state: State) -> LuaResult {
    let (Some(subject), Some(pattern)) = (state.bytes(2), state.bytes(3)) else {
        return Ok(Returns::Values(0));
    };
    let limit = match state.kind(5) {
        Kind::None | Kind::Nil => subject.len() + 1,
        // LuaJIT's own function has a C `int` for the limit: the lower 32 bits.
        _ if state.is_number(5) => usize::try_from(state.integer(5) as i32).unwrap_or(0),
        _ => return Ok(Returns::Values(0)),
    };
    with(state, |work| {
        work.looks_up = state.kind(4) == Kind::Table;
        work.substitution.begin(pattern, limit)?;
        find(state, subject, work)
    })
}

/// `(substitution, subject, value)`: puts the value in the place of the last match, unless it is
/// nil or false, and looks for the next match. Returns its captures; or, if there is none, nil, the
/// new text and the number of matches; or false, the text of an error, and the level that `error`
/// is to add the position of.
fn step(state: State) -> LuaResult {
    with(state, |work| {
        let subject = subject(&state);
        replace(state, subject, &mut work.substitution)?;
        find(state, subject, work)
    })
}

/// `(substitution, subject)`: the captures of the last match.
fn captures(state: State) -> LuaResult {
    with(state, |work| push_captures(state, subject(&state), work))
}

/// Calls `act` with the substitution that is argument 1. Returns as many values as `act` says it
/// has pushed, or its failure, as [`step`] does.
#[inline(always)]
fn with(state: State, act: impl FnOnce(&mut Work) -> Result<i32, Failure>) -> LuaResult {
    let shared = userdata::get::<Shared>(state, 1);
    let Some(mut work) = shared.as_ref().and_then(|shared| shared.try_borrow_mut().ok()) else {
        return Err(LuaError::argument(1, "idle substitution expected"));
    };
    let values = act(&mut work).unwrap_or_else(|failure| {
        // Lua code keeps the substitution for later use: it should keep no memory until then.
        work.substitution.release();
        push_failure(state, failure)
    });
    Ok(Returns::Values(values))
}

/// The subject of a call: a string, or a number as it is written.
fn subject(state: &State) -> &[u8] {
    state.bytes(2).unwrap_or_default()
}

/// Puts the value on top of the stack in the place of the last match, unless it is nil or false.
fn replace(state: State, subject: &[u8], substitution: &mut Substitution) -> Result<(), Failure> {
    // A number becomes a string in its slot.
    match state.bytes(-1) {
        Some(text) => Ok(substitution.replace(subject, text)?),
        None if state.boolean(-1) => Err(Failure::Value(state.kind(-1))),
        None => Ok(()),
    }
}

/// Looks for the next match. Pushes its captures, or the end.
fn find(state: State, subject: &[u8], work: &mut Work) -> Result<i32, Failure> {
    if work.substitution.find(subject)? {
        push_captures(state, subject, work)
    } else {
        Ok(push_end(state, subject, &mut work.substitution)?)
    }
}

/// Pushes the captures of the last match; only the first one if replacements come from a table.
/// Returns how many values it has pushed.
fn push_captures(state: State, subject: &[u8], work: &Work) -> Result<i32, Failure> {
    if work.looks_up {
        push(state, subject, work.substitution.first_capture()?);
        return Ok(1);
    }
    let mut count = 0;
    for capture in work.substitution.captures()? {
        push(state, subject, capture);
        count += 1;
    }
    Ok(count)
}

#[inline]
fn push(state: State, subject: &[u8], capture: Capture) {
    match capture {
        Capture::Text(start, end) => {
            let text = subject.get(start as usize..end as usize);
            state.push_bytes(text.unwrap_or_default());
        }
        Capture::Position(place) => state.push_integer(i64::from(place) + 1),
        // Does not come here: `Substitution` refuses such captures with an error.
        Capture::Unfinished(_) => state.push_nil(),
    }
}

fn push_end(
    state: State,
    subject: &[u8],
    substitution: &mut Substitution,
) -> Result<i32, PatternError> {
    state.push_nil();
    match substitution.finish(subject)? {
        Some(text) => state.push_bytes(text),
        // Nothing was replaced: the subject. If it was a number, it is a string by now, because
        // reading its bytes has changed its slot.
        None => state.push_value(2),
    }
    state.push_integer(substitution.count() as i64);
    substitution.release();
    Ok(3)
}

#[cold]
fn push_failure(state: State, failure: Failure) -> i32 {
    state.push_bool(false);
    let level = match failure {
        Failure::Pattern(PatternError::NoMemory) => 0,
        _ => 2,
    };
    match failure {
        Failure::Pattern(error) => state.push_str(&fallible::text(format_args!("{error}"))),
        Failure::Value(kind) => {
            let kind = kind.name();
            state.push_str(&fallible::text(format_args!("invalid replacement value (a {kind})")));
        }
    }
    state.push_integer(level);
    3
}

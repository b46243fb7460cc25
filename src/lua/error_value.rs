//! Turning an error value, which may be of any type, into text for a log or a message. All code
//! that does so uses this.

use codec::fallible;

use super::function::{LuaResult, Returns, wrap};
use super::kind::Kind;
use super::registry::ERROR_TEXT;
use super::run::Outcome;
use super::state::{GLOBALS, State, upvalue};

/// The text for `error(nil)`: the C module's "unknown reason", which it uses for all values that
/// are not text, and the value.
const NO_VALUE: &str = "unknown reason (nil)";

/// Puts the function behind [`State::error_text`] into a VM that has its libraries.
pub(super) fn install(mut state: State) {
    // Lua code may replace the global later.
    state.get_field(GLOBALS, c"tostring");
    state.push_closure(wrap(text_of), 1);
    state.register(ERROR_TEXT);
}

/// The text of its argument: what `tostring` gives, even if a `__tostring` of Lua code fails.
fn text_of(mut state: State) -> LuaResult {
    state.set_top(1);
    match state.kind(1) {
        Kind::String | Kind::Number => return Ok(as_string(state)),
        Kind::Nil | Kind::None => {
            state.push_str(NO_VALUE);
            return Ok(Returns::Values(1));
        }
        _ => {}
    }
    state.push_value(upvalue::<1>());
    state.push_value(1);
    let outcome = state.call(1, 1, 0);
    let result = state.kind(-1);
    if outcome == Outcome::Done && matches!(result, Kind::String | Kind::Number) {
        return Ok(as_string(state));
    }
    let kind = state.kind(1).name();
    if outcome != Outcome::Done && result == Kind::String {
        let begin = format_args!("(error object is a {kind} value; its __tostring failed: ");
        state.push_str(&fallible::text(begin));
        state.insert(-2);
        state.push_str(")");
        state.concat(3);
    } else {
        let verb = if outcome == Outcome::Done { "gave" } else { "failed with" };
        let result = result.name();
        state.push_str(&fallible::text(format_args!(
            "(error object is a {kind} value; its __tostring {verb} a {result} value)"
        )));
    }
    Ok(Returns::Values(1))
}

/// Returns the string or number on top, as a string: a number's is made here, where an error for want of memory
/// is caught.
fn as_string(state: State) -> Returns {
    state.bytes(-1);
    Returns::Values(1)
}

impl State {
    /// Replaces the error on top of the stack by its text.
    ///
    /// A `__tostring` of Lua code may run, on this coroutine, in protected mode.
    pub fn error_text(&mut self) -> &[u8] {
        if self.kind(-1) != Kind::String {
            self.push_registered(ERROR_TEXT);
            self.insert(-2);
            // Without memory, this leaves Lua's message about that.
            self.call(1, 1, 0);
        }
        self.bytes(-1).unwrap_or(NO_VALUE.as_bytes())
    }

    /// As [`State::error_text`], and pops it.
    pub fn take_error(&mut self) -> Vec<u8> {
        let text = fallible::reason(self.error_text());
        self.pop(1);
        text
    }
}

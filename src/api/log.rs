//! `ngx.log`, `print`: lines in nginx's error log, with the place of the Lua code in front.

use crate::api::call::{Row, set_functions};
use crate::api::print::pieces;
use crate::lua::state::GLOBALS;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State, frames, openresty};
use crate::nginx::Request;
use crate::nginx::core::log::{Level, Line, Log, cycle_log};

/// Puts `ngx.log` into the `ngx` table on top, and `print` into the globals.
pub fn inject(mut state: State) {
    set_functions(state, &[Row::anywhere(c"log", ngx_log)]);
    state.push_function(crate::lua::function::wrap(print));
    state.set_field(GLOBALS, c"print");
}

/// The log of the running request, or the cycle's.
fn log_of(state: State) -> Log {
    openresty::running_request(state).map_or_else(cycle_log, Request::log)
}

fn ngx_log(mut state: State) -> LuaResult {
    let number = state.check_integer(1)?;
    let level = Level::from_number(number)
        .ok_or_else(|| LuaError::argument(1, format_args!("bad log level: {number}")))?;
    state.remove(1);
    write(state, level)
}

fn print(state: State) -> LuaResult {
    write(state, Level::Notice)
}

fn write(state: State, level: Level) -> LuaResult {
    let log = log_of(state);
    if !log.enabled(level) {
        return Ok(Returns::Values(0));
    }
    let mut line = Line::new();
    line.append(b"[lua] ");
    frames::describe_caller(state, &mut line);
    let head = line.bytes().len();
    for index in 1..=state.top() {
        append(state, index, &mut line)?;
    }
    log.write_bytes(level, line.bytes(), head);
    Ok(Returns::Values(0))
}

fn append(mut state: State, index: i32, line: &mut Line) -> Result<(), LuaError> {
    match state.kind(index) {
        Kind::Table => {
            if !state.call_metamethod(index, c"__tostring") {
                return Err(LuaError::argument(
                    index,
                    "expected table to have __tostring metamethod",
                ));
            }
            line.append(state.bytes(-1).unwrap_or_default());
            state.pop(1);
            Ok(())
        }
        Kind::Nil | Kind::Boolean | Kind::LightUserdata | Kind::Number | Kind::String => {
            pieces::append_argument(state, index, line)
        }
        kind => Err(LuaError::argument(
            index,
            format_args!("string, number, boolean, or nil expected, got {}", kind.name()),
        )),
    }
}

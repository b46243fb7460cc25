//! `set_by_lua*`: the code's result becomes a variable's value, in order with nginx's `set`.

use codec::fallible::{self, Grow};

use super::{runner, synchronous};
use crate::config::code::SetScript;
use crate::lua::{Kind, LuaFailure, State};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings::PoolStr;
use crate::nginx::http::script_code::ScriptValue;
use crate::nginx::{Request, Status};
use crate::runtime::{Phase, counters};

impl ScriptValue for SetScript {
    fn evaluate(&self, request: Request) -> Result<PoolStr, Status> {
        const FAILED: Status = Status::HTTP_INTERNAL_SERVER_ERROR;
        let context = runner::context_of(request, Phase::Set)?;
        let mut arguments = fallible::with_capacity(self.arguments.len()).map_err(|_| FAILED)?;
        for argument in &self.arguments {
            arguments.try_push(argument.evaluate(request).ok_or(FAILED)?).map_err(|_| FAILED)?;
        }
        let for_lua = fallible::copy(&arguments).map_err(|_| FAILED)?;
        // Nested calls: a variable in the arguments may itself be set by Lua code.
        let outer = context.set_arguments.replace(for_lua);
        let push = |state: State| {
            let count = arguments.len() as i32;
            if count > 0 {
                let push =
                    |state: State| arguments.iter().for_each(|text| state.push_bytes(text.bytes()));
                state.produce(count, push)?;
            }
            Ok(count)
        };
        let take = |mut state: State| {
            if let Err(reason) = number_to_text(&mut state) {
                counters::count_failure(Phase::Set, LuaFailure::Memory);
                synchronous::log_error(request, &reason, Phase::Set);
                context.vm().release_memory_soon();
                return Err(OutOfMemory);
            }
            request.pool().concat(&[state.string(-1).unwrap_or_default()])
        };
        let result = synchronous::run(&context, &self.script, Phase::Set, push, take);
        context.set_arguments.replace(outer);
        result.map_err(|_| FAILED)?.map_err(|_| FAILED)
    }
}

/// Replaces the result by its text if it is a number; fails with Lua's reason without memory.
fn number_to_text(state: &mut State) -> Result<(), Vec<u8>> {
    if state.kind(-1) == Kind::Number {
        let number = state.number(-1);
        state.produce(1, |state| {
            state.push_number(number);
            state.bytes(-1);
        })?;
        state.replace(-2);
    }
    Ok(())
}

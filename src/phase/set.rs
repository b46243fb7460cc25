//! `set_by_lua*`: the code's result becomes a variable's value, in order with nginx's `set`.

use super::{runner, synchronous};
use crate::config::code::SetScript;
use crate::lua::{Kind, State};
use crate::nginx::http::script_code::Value;
use crate::nginx::{Request, Status};
use crate::runtime::Phase;

impl Value for SetScript {
    fn evaluate(&self, request: Request) -> Result<&'static [u8], Status> {
        const FAILED: Status = Status::HTTP_INTERNAL_SERVER_ERROR;
        let context = runner::context_of(request, Phase::Set)?;
        let arguments: Option<Vec<&'static [u8]>> =
            self.arguments.iter().map(|argument| argument.evaluate(request)).collect();
        let arguments = arguments.ok_or(FAILED)?;
        // A variable of the arguments may itself be set by Lua code, within this one.
        let outer = context.set_arguments.replace(arguments.clone());
        let push = |state: State| {
            arguments.iter().for_each(|argument| state.push_bytes(argument));
            arguments.len() as i32
        };
        let result = synchronous::run(&context, &self.script, Phase::Set, push, text);
        context.set_arguments.replace(outer);
        let text = result.map_err(|_| FAILED)?;
        request.pool().copy_bytes(&text).map_err(|_| FAILED)
    }
}

/// The result as text; nothing for what is neither a string nor a number.
fn text(state: State) -> Vec<u8> {
    match state.kind(-1) {
        Kind::String | Kind::Number => state.bytes(-1).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    }
}

//! `ngx.arg`: the arguments of `set_by_lua*`, and the piece of the body in `body_filter_by_lua*`.
//!
//! lua-resty-core adds the reading side to the table's metatable; writing is here.

mod ffi;

use crate::api::call::Call;
use crate::api::print::pieces;
use crate::lua::function::wrap;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State, openresty};
use crate::runtime::{Phase, PhaseSet, filter};

/// Puts the table, with its metatable, into the `ngx` table on top.
pub fn inject(mut state: State) {
    state.new_table(0, 0);
    state.new_table(0, 2);
    state.push_function(wrap(set));
    state.set_field(-2, c"__newindex");
    state.set_metatable(-2);
    state.set_field(-2, c"arg");
}

/// `ngx.arg[index] = value`.
fn set(state: State) -> LuaResult {
    if openresty::running_request(state).is_none() {
        return Ok(Returns::Values(0));
    }
    Call::with(state, PhaseSet::of(&[Phase::BodyFilter]), |call| {
        call.check()?;
        match state.check_integer(2)? {
            1 => set_body(call)?,
            2 => filter::set_eof(call.context, state.boolean(3))?,
            index => return Err(LuaError::text(format_args!("bad index: {index}"))),
        }
        Ok(Returns::Values(0))
    })
}

fn set_body(call: &Call) -> Result<(), LuaError> {
    let state = call.state;
    match state.kind(3) {
        Kind::String => filter::replace_body(call.context, state.bytes(3).unwrap_or_default())?,
        Kind::Nil => filter::replace_body(call.context, b"")?,
        kind @ (Kind::Number | Kind::Table) => {
            let mut data = Vec::new();
            match kind {
                Kind::Table => pieces::append_strict_table(state, 3, &mut data)?,
                _ => pieces::append_scalar(state, 3, &mut data)?,
            }
            filter::replace_body(call.context, &data)?;
        }
        kind => return Err(LuaError::text(format_args!("bad chunk data type: {}", kind.name()))),
    }
    Ok(())
}

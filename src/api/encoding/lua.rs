//! `ngx.quote_sql_str`; lua-resty-core has the other functions, which call the C symbols.

use crate::api::call::{Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::anywhere(c"quote_sql_str", quote_sql_str)]);
}

fn quote_sql_str(state: State) -> LuaResult {
    if state.top() != 1 {
        return Err(LuaError::text("expecting one argument"));
    }
    let quoted = codec::sql::quote(state.check_bytes(1)?)?;
    state.push_bytes(&quoted);
    Ok(Returns::Values(1))
}

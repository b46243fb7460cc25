//! `ngx.socket.udp`: not built yet. It says so when it is called.

use crate::api::call::{Row, set_functions_in};
use crate::lua::{LuaError, LuaResult, State};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    const SOCKET: &[Row] = &[Row::anywhere(c"udp", |_| missing("ngx.socket.udp"))];
    set_functions_in(state, c"socket", SOCKET);
}

fn missing(name: &str) -> LuaResult {
    Err(LuaError::text(format!("{name} is not supported by this module yet")))
}

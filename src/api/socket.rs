//! `ngx.socket.*` and `ngx.req.socket`: not built yet. Each function says so when it is called.

use crate::api::call::{Row, set_functions_in};
use crate::lua::state::REGISTRY;
use crate::lua::{LuaError, LuaResult, State};

/// Puts the functions into the `ngx` table on top, and the metatable where lua-resty-core adds
/// its methods.
pub fn inject(state: State) {
    const SOCKET: &[Row] = &[
        Row::anywhere(c"tcp", |_| missing("ngx.socket.tcp")),
        Row::anywhere(c"stream", |_| missing("ngx.socket.stream")),
        Row::anywhere(c"connect", |_| missing("ngx.socket.connect")),
        Row::anywhere(c"udp", |_| missing("ngx.socket.udp")),
    ];
    const REQUEST: &[Row] = &[Row::anywhere(c"socket", |_| missing("ngx.req.socket"))];
    set_functions_in(state, c"socket", SOCKET);
    set_functions_in(state, c"req", REQUEST);
    state.new_table(0, 1);
    state.push_value(-1);
    state.set_field(-2, c"__index");
    state.set_field(REGISTRY, c"__tcp_cosocket_mt");
}

fn missing(name: &str) -> LuaResult {
    Err(LuaError::text(format!("{name} is not supported by this module yet")))
}

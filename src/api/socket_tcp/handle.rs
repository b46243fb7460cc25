//! What Lua holds of a cosocket: a table whose first item is a userdata that owns the socket.
//!
//! The table's integer keys are known to lua-resty-core.

use std::rc::Rc;

use super::socket::Socket;
use crate::api::call::Call;
use crate::lua::registry::TCP_OWNER_METATABLE;
use crate::lua::{Kind, LuaError, State, userdata};

/// The table's items.
pub const SOCKET: i32 = 1;
pub const CONNECT_TIMEOUT: i32 = 2;
pub const KEY: i32 = 3;
pub const SEND_TIMEOUT: i32 = 4;
pub const READ_TIMEOUT: i32 = 5;
pub const BIND: i32 = 8;
/// Whether `ip-transparent` was asked for, by lua-resty-core from 0.1.32 on.
pub const TRANSPARENT: i32 = 9;
/// The port to connect from; lua-resty-core keeps what it anchors below.
pub const BIND_PORT: i32 = 11;

/// Makes the userdata's metatable.
pub fn inject(state: State) {
    userdata::inject::<Rc<Socket>>(state, TCP_OWNER_METATABLE);
}

/// Makes `socket` that of the table at `index`.
pub fn attach(mut state: State, index: i32, socket: Rc<Socket>) {
    let index = if index < 0 { state.top() + index + 1 } else { index };
    userdata::push(state, socket, TCP_OWNER_METATABLE);
    state.raw_set_index(index, SOCKET);
}

/// The socket of the table at `index`.
pub fn socket(mut state: State, index: i32) -> Option<Rc<Socket>> {
    state.raw_get_index(index, SOCKET);
    let socket = userdata::get::<Rc<Socket>>(state, -1);
    state.pop(1);
    socket
}

/// The table at `index` lets go of its socket, which is closed: another connect makes a new one.
pub fn release(mut state: State, index: i32) {
    state.raw_get_index(index, SOCKET);
    drop(userdata::release::<Rc<Socket>>(state, -1));
    state.pop(1);
}

/// Requires the first argument to be a table, and gives its socket, whose userdata stays on the
/// stack, above the arguments.
#[inline]
pub fn of_call(call: &Call) -> Result<Option<Rc<Socket>>, LuaError> {
    call.state.check_kind(1, Kind::Table, c"table")?;
    call.state.raw_get_index(1, SOCKET);
    Ok(userdata::get::<Rc<Socket>>(call.state, -1))
}

/// Integer items of the table at `index`; 0 where there is none.
pub fn integers<const N: usize>(mut state: State, index: i32, items: [i32; N]) -> [i64; N] {
    let values = items.map(|item| {
        state.raw_get_index(index, item);
        state.integer(-1)
    });
    state.pop(N as i32);
    values
}

//! A cosocket in Lua: a table whose item 1 is a userdata that owns the socket, from the first
//! `connect` on.
//!
//! lua-resty-core uses the same integer keys of the table, and has keys of its own.

use std::rc::Rc;

use super::socket::Socket;
use crate::api::call::Call;
use crate::lua::registry::TCP_OWNER_METATABLE;
use crate::lua::{LuaError, State, TableAt, userdata};

/// The table's keys: the userdata, timeouts in milliseconds, the key of the pool into which a connection goes that
/// does not have its seat there yet, and the address that `sock:bind` was given.
pub const SOCKET: i32 = 1;
pub const CONNECT_TIMEOUT: i32 = 2;
pub const KEY: i32 = 3;
pub const SEND_TIMEOUT: i32 = 4;
pub const READ_TIMEOUT: i32 = 5;
pub const BIND: i32 = 8;
/// Whether the option `ip-transparent` is set; lua-resty-core sets it from 0.1.32 on.
pub const TRANSPARENT: i32 = 9;
/// The port that `sock:bind` was given. (6, 7 and 10 are lua-resty-core's, for the client
/// certificate, its key, and the trusted store.)
pub const BIND_PORT: i32 = 11;

/// Makes the metatable of the userdata.
pub fn inject(state: State) {
    userdata::inject::<Rc<Socket>>(state, TCP_OWNER_METATABLE);
}

/// Makes `socket` the socket of `table`.
pub fn attach(mut state: State, table: TableAt, socket: Rc<Socket>) {
    userdata::push(state, socket, TCP_OWNER_METATABLE);
    state.raw_set_item(table, SOCKET);
}

/// The socket of `table`; `None` if it has none, or it was released.
pub fn socket(state: State, table: TableAt) -> Option<Rc<Socket>> {
    userdata::in_table(state, table, SOCKET)
}

/// Takes the socket, which is closed, from its table: the next connect makes a new one. [`of_call`] has left the
/// userdata above the `arguments` of the call.
pub fn release(state: State, arguments: i32) {
    if let Some(socket) = userdata::release::<Rc<Socket>>(state, arguments + 1) {
        socket.spare();
    }
}

/// Requires the first argument to be a table, and gives its socket, whose userdata stays on the
/// stack, above the arguments.
#[inline]
pub fn of_call(call: &Call) -> Result<Option<Rc<Socket>>, LuaError> {
    let table = call.state.table_argument(1)?;
    call.state.raw_get_item(table, SOCKET);
    Ok(userdata::get::<Rc<Socket>>(call.state, -1))
}

/// Integer items of `table`; 0 where there is none.
pub fn integers<const N: usize>(mut state: State, table: TableAt, items: [i32; N]) -> [i64; N] {
    let values = items.map(|item| {
        state.raw_get_item(table, item);
        state.integer(-1)
    });
    state.pop(N as i32);
    values
}

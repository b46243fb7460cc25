//! A datagram cosocket in Lua: a table whose item 1 is a userdata that owns the socket, item 2 the
//! timeout in milliseconds, and item 3 the address that `sock:bind` was given.

use std::rc::Rc;

use super::socket::Socket;
use crate::lua::registry::UDP_OWNER_METATABLE;
use crate::lua::{State, userdata};
use crate::nginx::core::address::Address;

/// The table's keys.
const SOCKET: i32 = 1;
const TIMEOUT: i32 = 2;
const BIND: i32 = 3;

/// Makes the metatable of the userdata.
pub fn inject(state: State) {
    userdata::inject::<Rc<Socket>>(state, UDP_OWNER_METATABLE);
}

/// The socket of the table at `index`; `None` before its first `setpeername`.
pub fn socket(state: State, index: i32) -> Option<Rc<Socket>> {
    userdata::in_table(state, state.table_at(index), SOCKET)
}

/// Makes `socket` the socket of the table at `index`, which is positive.
pub fn attach(mut state: State, index: i32, socket: Rc<Socket>) {
    userdata::push(state, socket, UDP_OWNER_METATABLE);
    state.raw_set_index(index, SOCKET);
}

/// The timeout of the table at `index`, in milliseconds; 0 where none is set.
pub fn timeout(mut state: State, index: i32) -> i64 {
    state.raw_get_index(index, TIMEOUT);
    let milliseconds = state.integer(-1);
    state.pop(1);
    milliseconds
}

/// Pops the value on top, and makes it the timeout of the table at `index`.
pub fn set_timeout(mut state: State, index: i32) {
    state.raw_set_index(index, TIMEOUT);
}

/// Makes the text on top of the stack, which stays there, the source address for the next
/// `setpeername` of the table at `index`.
pub fn bind(mut state: State, index: i32) {
    state.push_value(-1);
    state.raw_set_index(index, BIND);
}

/// The source address that `sock:bind` has set in the table at `index`.
pub fn bound(mut state: State, index: i32) -> Option<Address> {
    state.raw_get_index(index, BIND);
    let address = state.bytes(-1).and_then(Address::ip);
    state.pop(1);
    address
}

//! What lua/socket_tcp.lua calls through LuaJIT's FFI. It is given the functions' addresses by [`inject`]: no
//! symbols are exported.
//!
//! `socket` is the memory of a userdata with the metatable of those that own a cosocket.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_int, c_void};
use std::rc::Rc;

use export::callback;

use crate::api::socket_tcp::input::Want;
use crate::api::socket_tcp::request_socket::RAW_METATABLE;
use crate::api::socket_tcp::socket::Socket;
use crate::lua::registry::{TCP_FACE, TCP_METATABLE, TCP_OWNER_METATABLE};
use crate::lua::state::REGISTRY;
use crate::lua::{Outcome, State, userdata};

/// The function cannot do all of the work, and has changed nothing.
const NOT_HERE: c_int = -1;

/// The space of the buffer that the Lua code passes as `text`. What is longer has mostly not been received yet.
const CAPACITY: usize = 2048;

/// Receives a line. It goes to `text`, which has space for `CAPACITY` bytes; the result is its length, or
/// `NOT_HERE`.
///
/// # Safety
/// Only lua/socket_tcp.lua may call this, with pointers that are valid as described.
#[callback(NOT_HERE)]
unsafe extern "C" fn receive_line(socket: *const c_void, text: *mut u8) -> c_int {
    // SAFETY: the contract of this function, that of `receive`.
    unsafe { receive(socket, text, Want::Line) }
}

/// As [`receive_line`], but receives `size` bytes.
///
/// # Safety
/// Only lua/socket_tcp.lua may call this, with pointers that are valid as described.
#[callback(NOT_HERE)]
unsafe extern "C" fn receive_size(socket: *const c_void, text: *mut u8, size: c_int) -> c_int {
    let Ok(size) = usize::try_from(size) else { return NOT_HERE };
    // SAFETY: the contract of this function, that of `receive`.
    unsafe { receive(socket, text, Want::Bytes(size)) }
}

/// # Safety
/// As for [`receive_line`].
#[inline(always)]
unsafe fn receive(socket: *const c_void, text: *mut u8, want: Want) -> c_int {
    // SAFETY: the Lua code passes a userdata with the metatable of those that own a socket, and a buffer of
    // its own of that size.
    let (socket, room) = unsafe {
        (userdata::of_payload::<Rc<Socket>>(socket), std::slice::from_raw_parts_mut(text, CAPACITY))
    };
    let length = socket.and_then(|socket| socket.receive_buffered(want, room));
    length.and_then(|length| c_int::try_from(length).ok()).unwrap_or(NOT_HERE)
}

/// Loads the Lua code, and keeps the function for [`use_at`].
///
/// To be called in protected mode: it may raise a Lua error.
pub fn inject(mut state: State) {
    let code = include_bytes!("../../../../lua/socket_tcp.lua");
    let loaded = state.load(code, c"=ngx.socket.tcp");
    debug_assert_eq!(loaded, Outcome::Done);
    state.push_registered(TCP_METATABLE);
    state.get_field(REGISTRY, RAW_METATABLE);
    state.push_registered(TCP_OWNER_METATABLE);
    state.push_integer(CAPACITY as i64);
    for function in [receive_line as *const c_void, receive_size as *const c_void] {
        state.push_light_userdata(function.cast_mut());
    }
    state.call_raising(6, 1);
    state.register(TCP_FACE);
}

/// Has the cosocket whose table is at `index` use the function in Lua from now on. May raise a Lua error: without
/// memory.
#[cold]
pub fn use_at(mut state: State, index: i32) {
    state.push_registered(TCP_FACE);
    state.push_value(index);
    state.call_raising(1, 0);
}

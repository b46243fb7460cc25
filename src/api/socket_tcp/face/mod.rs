//! `receive` of TCP cosockets in the common case, through LuaJIT's FFI: its compiler makes that a part of the code
//! that calls.
//!
//! Such a call may run amid compiled code, so it neither waits, nor raises an error, nor touches the VM. It finds
//! out whether it can do all of the work, before it changes anything. Where it cannot, the Lua code
//! (`lua/socket_tcp.lua`) calls the C function for Lua, which does everything.
//!
//! Without a loop that is compiled it would cost more than it saves. So a socket has it only once several reads
//! have left something for the next one.

mod ffi;
mod receive;

pub use ffi::{inject, use_at};

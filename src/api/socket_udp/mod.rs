//! Datagram cosockets: `ngx.socket.udp`.
//!
//! The userdata in Lua owns the connection; the request that set the peer closes it at its end. A
//! name lookup and a receive that waits are operations of their task: dropping them cancels them,
//! and events wake only tasks that wait.

mod connect;
mod handle;
mod lua;
mod receive;
mod socket;

pub use lua::inject;

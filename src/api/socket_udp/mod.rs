//! Datagram cosockets: `ngx.socket.udp`.
//!
//! What Lua holds owns the connection; the request that set the peer closes it at its end. A name
//! that is looked up and a receive that waits are operations of their task: dropped, they are
//! cancelled, and events wake nobody who has not asked to be woken.

mod connect;
mod handle;
mod lua;
mod receive;
mod socket;

pub use lua::inject;

//! TCP and unix domain cosockets: `ngx.socket.tcp`, and `ngx.req.socket` for the client's own
//! connection.
//!
//! What Lua holds owns the connection, and the request closes it at its end. A method does what it
//! can at once; only where it must wait does it make an operation, which its task owns: dropped, the
//! wait is cancelled. Events wake nobody who has not asked to be woken.

mod cancel;
mod connect;
mod ffi;
mod handle;
mod input;
mod keepalive;
mod lua;
mod lua_receive;
mod matcher;
mod pool;
mod receive;
mod request_socket;
mod send;
mod socket;
#[cfg(ngx_feature = "http_ssl")]
mod tls;
mod user_data;

pub use lua::inject;

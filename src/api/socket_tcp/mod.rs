//! TCP and unix domain cosockets: `ngx.socket.tcp`, and `ngx.req.socket` for the client's own
//! connection.
//!
//! The userdata in Lua owns the connection, and the request closes it at its end. A method does
//! what it can at once; only if it must wait does it make an operation, which its task owns:
//! dropping it cancels the wait. Events wake only tasks that wait for them.

mod attempt;
mod body;
mod cancel;
mod connect;
mod face;
mod ffi;
mod handle;
mod input;
mod keepalive;
mod lua;
mod lua_connect;
mod lua_receive;
mod matcher;
pub mod pool;
mod receive;
mod request_socket;
mod send;
mod server;
mod socket;
#[cfg(ngx_feature = "http_ssl")]
mod tls;
mod user_data;

pub use lua::inject;

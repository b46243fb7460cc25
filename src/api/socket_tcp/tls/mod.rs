//! TLS on cosockets, as the client: `sock:sslhandshake`.

mod again;
mod connection;
mod ffi;
mod handshake;
mod state;

pub use state::{Made, Tls};

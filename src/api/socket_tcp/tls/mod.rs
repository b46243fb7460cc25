//! TLS on cosockets, as the client: `sock:sslhandshake`.

mod again;
mod connection;
mod ffi;
mod handshake;
pub mod options;
mod state;

pub use state::{Made, Tls};

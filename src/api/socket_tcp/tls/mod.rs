//! TLS on cosockets, as the client: `sock:sslhandshake`.

mod ffi;
mod handshake;

pub use handshake::Tls;

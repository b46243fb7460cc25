//! `ngx.ssl.clienthello`, and the ciphers that a client shares with the server.

mod ffi;

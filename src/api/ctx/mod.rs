//! `ngx.ctx`: lua-resty-core keeps the tables, this module their references, one per request and one
//! per TLS connection, which its requests' tables inherit.

mod connection;
mod ffi;

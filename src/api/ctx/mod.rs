//! `ngx.ctx`: lua-resty-core keeps the tables, this module their references: one for each request,
//! and one for each TLS connection, whose table the tables of its requests inherit from.

mod connection;
mod ffi;

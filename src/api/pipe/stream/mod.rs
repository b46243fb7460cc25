//! The C symbols of a process's streams.

mod ffi;

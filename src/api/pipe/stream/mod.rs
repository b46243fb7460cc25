//! The C face of a process's streams.

mod ffi;

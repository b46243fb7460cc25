//! The part of the C API by which another module's C function suspends a Lua coroutine and resumes
//! it later.

mod ffi;

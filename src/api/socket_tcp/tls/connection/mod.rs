//! The parts of a cosocket's TLS that Lua code can get at: its trusted store, its session, and
//! OpenSSL's own objects.

mod ffi;

//! What a cosocket's TLS is made of: whom it trusts, its session, OpenSSL's own objects.

mod ffi;

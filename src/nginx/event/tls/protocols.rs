//! The versions of TLS, by nginx's names and bits.

use std::ffi::CStr;

use crate::nginx::sys::{
    NGX_CONF_BITMASK_SET, NGX_SSL_SSLv2, NGX_SSL_SSLv3, NGX_SSL_TLSv1, NGX_SSL_TLSv1_1,
    NGX_SSL_TLSv1_2, NGX_SSL_TLSv1_3,
};

/// By their names in `lua_ssl_protocols`.
pub const PROTOCOLS: &[(&CStr, u32)] = &[
    (c"SSLv2", NGX_SSL_SSLv2),
    (c"SSLv3", NGX_SSL_SSLv3),
    (c"TLSv1", NGX_SSL_TLSv1),
    (c"TLSv1.1", NGX_SSL_TLSv1_1),
    (c"TLSv1.2", NGX_SSL_TLSv1_2),
    (c"TLSv1.3", NGX_SSL_TLSv1_3),
];

/// nginx's bit of each protocol, and OpenSSL's option that forbids it (`SSL_OP_NO_…`).
pub(super) const FORBIDDING: [(u32, u64); 5] = [
    (NGX_SSL_SSLv3, 1 << 25),
    (NGX_SSL_TLSv1, 1 << 26),
    (NGX_SSL_TLSv1_1, 1 << 28),
    (NGX_SSL_TLSv1_2, 1 << 27),
    (NGX_SSL_TLSv1_3, 1 << 29),
];

/// The protocols of a location that names none, from release 0.10.25 of this module on.
pub const NEWER_PROTOCOLS: u32 =
    NGX_CONF_BITMASK_SET | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1 | NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3;

/// The protocols of a location that names none, before that release.
pub const DEFAULT_PROTOCOLS: u32 =
    NGX_CONF_BITMASK_SET | NGX_SSL_SSLv3 | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1 | NGX_SSL_TLSv1_2;

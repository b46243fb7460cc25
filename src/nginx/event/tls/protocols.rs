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

/// The protocols of a location without the directive.
pub const DEFAULT_PROTOCOLS: u32 =
    NGX_CONF_BITMASK_SET | NGX_SSL_SSLv3 | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1 | NGX_SSL_TLSv1_2;

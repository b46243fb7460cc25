//! The versions of TLS, by nginx's names and bits.

use std::ffi::CStr;

use crate::nginx::sys::{
    NGX_CONF_BITMASK_SET, NGX_SSL_SSLv2, NGX_SSL_SSLv3, NGX_SSL_TLSv1, NGX_SSL_TLSv1_1,
    NGX_SSL_TLSv1_2, NGX_SSL_TLSv1_3,
};

/// nginx's bits, by the names in `lua_ssl_protocols`.
pub const PROTOCOLS: &[(&CStr, u32)] = &[
    (c"SSLv2", NGX_SSL_SSLv2),
    (c"SSLv3", NGX_SSL_SSLv3),
    (c"TLSv1", NGX_SSL_TLSv1),
    (c"TLSv1.1", NGX_SSL_TLSv1_1),
    (c"TLSv1.2", NGX_SSL_TLSv1_2),
    (c"TLSv1.3", NGX_SSL_TLSv1_3),
];

/// OpenSSL's numbers of the versions of TLS, by nginx's names.
pub const VERSIONS: [(&str, u16); 4] =
    [("TLSv1", 0x0301), ("TLSv1.1", 0x0302), ("TLSv1.2", 0x0303), ("TLSv1.3", 0x0304)];

/// The versions that OpenSSL's options of a connection do not forbid.
pub(super) fn allowed(options: u64) -> impl Iterator<Item = u16> {
    // All but SSLv3, in the order of `VERSIONS`.
    let forbidden = FORBIDDING.iter().skip(1).map(|(_, forbidden)| *forbidden);
    let versions = VERSIONS.iter().map(|(_, version)| *version).zip(forbidden);
    versions.filter(move |(_, forbidden)| options & forbidden == 0).map(|(version, _)| version)
}

/// nginx's bit of each protocol, and OpenSSL's option that forbids it (`SSL_OP_NO_…`).
pub(super) const FORBIDDING: [(u32, u64); 5] = [
    (NGX_SSL_SSLv3, 1 << 25),
    (NGX_SSL_TLSv1, 1 << 26),
    (NGX_SSL_TLSv1_1, 1 << 28),
    (NGX_SSL_TLSv1_2, 1 << 27),
    (NGX_SSL_TLSv1_3, 1 << 29),
];

/// The protocols of a location that names none, from release 0.10.25 of the C module on.
pub const NEWER_PROTOCOLS: u32 =
    NGX_CONF_BITMASK_SET | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1 | NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3;

/// The protocols of a location that names none, before that release.
pub const DEFAULT_PROTOCOLS: u32 =
    NGX_CONF_BITMASK_SET | NGX_SSL_SSLv3 | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1 | NGX_SSL_TLSv1_2;

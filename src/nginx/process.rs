//! This process: what kind it is, and whether it only tests a configuration.

use super::sys::{NGX_PROCESS_SIGNALLER, nginx_version, ngx_cycle, ngx_process, ngx_test_config};

/// Whether nginx only tests the configuration, or signals another process.
pub fn is_configuration_test() -> bool {
    // SAFETY: plain words that nginx sets before it reads the configuration.
    unsafe { ngx_test_config != 0 || ngx_process == NGX_PROCESS_SIGNALLER as usize }
}

/// nginx's prefix (`-p`), with its slash.
pub fn prefix<'a>() -> &'a [u8] {
    // SAFETY: the cycle's strings live in its pool.
    unsafe { super::strings::bytes((*ngx_cycle).prefix) }
}

/// nginx's version as a number: 1022001 for 1.22.1.
pub const NGINX_VERSION: i64 = nginx_version as i64;

/// Whether nginx was configured with `--with-debug`.
pub const fn is_debug_build() -> bool {
    cfg!(ngx_feature = "debug")
}

/// The arguments that nginx was configured with.
pub fn configure_arguments() -> &'static [u8] {
    super::sys::NGX_CONFIGURE.to_bytes()
}

/// Has the C library give back the memory that it holds beyond one byte; 1 where it did.
pub fn malloc_trim() -> i32 {
    // SAFETY: no precondition.
    unsafe { libc::malloc_trim(1) }
}

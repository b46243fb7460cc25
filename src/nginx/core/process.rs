//! This process as a whole: its kind, its signals, how nginx was built.

use std::ptr::null_mut;

use crate::nginx::core::log::{Level, Line, cycle_log};
use crate::nginx::core::strings::PoolStr;
use crate::nginx::sys::{
    NGX_PROCESS_HELPER, NGX_PROCESS_SIGNALLER, nginx_version, ngx_cycle, ngx_process,
    ngx_test_config,
};

/// Whether nginx only tests the configuration (`nginx -t`).
pub fn is_configuration_test() -> bool {
    // SAFETY: a plain word that nginx sets before it reads the configuration.
    unsafe { ngx_test_config != 0 }
}

/// Whether nginx only signals another process (`nginx -s`).
pub fn is_signaller() -> bool {
    // SAFETY: as in `is_configuration_test`.
    unsafe { ngx_process == NGX_PROCESS_SIGNALLER as usize }
}

/// Whether this is one of nginx's own helpers (the cache manager or loader), not a worker.
pub fn is_helper() -> bool {
    // SAFETY: as in `is_configuration_test`.
    unsafe { ngx_process == NGX_PROCESS_HELPER as usize }
}

/// Signals after which interrupted system calls are restarted.
const RESTARTED_SIGNALS: [i32; 12] = [
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGWINCH,
    libc::SIGTERM,
    libc::SIGQUIT,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGINT,
    libc::SIGIO,
    libc::SIGCHLD,
    libc::SIGSYS,
    libc::SIGPIPE,
];

/// Has system calls restarted after signals (`lua_sa_restart`, `SA_RESTART`).
pub fn set_sa_restart() {
    for signal in RESTARTED_SIGNALS {
        crate::ngx_debug!(cycle_log(), "setting SA_RESTART for signal {signal}");
        // SAFETY: the action is read before it is written; all zero is a valid one.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, null_mut(), &mut action) != 0 {
                warn_of_signal("get", signal);
            }
            action.sa_flags |= libc::SA_RESTART;
            if libc::sigaction(signal, &action, null_mut()) != 0 {
                warn_of_signal("set", signal);
            }
        }
    }
}

fn warn_of_signal(verb: &str, signal: i32) {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let mut line = Line::new();
    line.add(format_args!("failed to {verb} sigaction for signal {signal}"));
    cycle_log().write_errno(Level::Warn, errno, line.bytes());
}

/// nginx's prefix (`-p`), with its slash.
pub fn prefix() -> PoolStr {
    // SAFETY: nginx has a current cycle from before it reads a configuration until it exits; the
    // cycle's strings live in its pool.
    unsafe { PoolStr::new((*ngx_cycle).prefix) }
}

/// nginx's version as a number: 1022001 for 1.22.1.
pub const NGINX_VERSION: i64 = nginx_version as i64;

/// Whether nginx was configured with `--with-debug`.
pub const fn is_debug_build() -> bool {
    cfg!(ngx_feature = "debug")
}

/// The arguments of nginx's `configure`.
pub fn configure_arguments() -> &'static [u8] {
    crate::nginx::sys::NGX_CONFIGURE.to_bytes()
}

/// Has the C library return free memory to the system; 1 if there was any.
pub fn malloc_trim() -> i32 {
    // SAFETY: no precondition.
    unsafe { libc::malloc_trim(1) }
}

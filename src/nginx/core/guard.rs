//! Panic guards: no panic crosses from Rust into C.
//!
//! nginx calls this module through plain `extern "C"` functions, where a panic would abort the
//! worker. [`guard`] stops it there: the panic is logged at `[alert]` by the hook that
//! [`install_panic_hook`] sets, and the caller gets the fall-back value.
//!
//! A Lua error must never pass through [`guard`] (Rust aborts on a foreign exception that reaches
//! `catch_unwind`): code inside calls Lua in protected mode only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::nginx::core::log::{Level, Line, log_cycle};

/// Runs `work`; where it panics, returns `fallback` instead.
#[inline]
pub fn guard<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => value,
        Err(_logged_by_the_hook) => fallback,
    }
}

/// Runs `work`; returns whether it panicked, for callers that must clean up then.
pub fn panics(work: impl FnOnce()) -> bool {
    guard(true, || {
        work();
        false
    })
}

/// A place where tests (the feature `fault-injection`) may inject a panic, by the type's name.
#[inline(always)]
pub fn fault_point<T: ?Sized>() {
    #[cfg(feature = "fault-injection")]
    crate::nginx::core::fault::panic_if_armed(std::any::type_name::<T>());
}

/// Sends panic messages to nginx's error log at level `[alert]` instead of the standard error.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let mut line = Line::new();
            line.add(format_args!("lua module panicked: {panic}"));
            line.replace(b'\n', b' ');
            log_cycle(Level::Alert, line.bytes());
        }));
    });
}

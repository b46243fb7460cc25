//! nginx's cached time, which every clock of the API shows. The event loop and [`update`] advance
//! it. And the system's clock, to measure with.

use std::mem::MaybeUninit;

use codec::seconds::in_seconds;

use crate::nginx::Request;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_cached_http_log_iso8601, ngx_cached_time, ngx_current_msec, ngx_time_t, ngx_time_update,
};

/// The current slot of the cached time; nginx writes the new time to another slot, then moves the
/// pointer.
fn cached() -> ngx_time_t {
    // SAFETY: nginx sets the pointer before it reads the configuration, always to one of its 64
    // static slots, which it uses in turn.
    unsafe { std::ptr::read_volatile(ngx_cached_time) }
}

/// Seconds since the epoch.
pub fn seconds() -> i64 {
    cached().sec
}

/// Seconds since the epoch with their milliseconds.
pub fn now() -> f64 {
    let time = cached();
    in_seconds(time.sec, time.msec as u64)
}

/// Milliseconds since the epoch; 0 before it.
pub fn milliseconds() -> u64 {
    let time = cached();
    u64::try_from(time.sec).unwrap_or(0) * 1000 + time.msec as u64
}

/// Seconds since the epoch plus the zone's offset: broken down as UTC, they give local time.
pub fn local_seconds() -> i64 {
    let time = cached();
    time.sec + time.gmtoff as i64 * 60
}

/// Milliseconds of a monotonic clock with an arbitrary start.
pub fn monotonic_milliseconds() -> usize {
    // SAFETY: a plain word of this thread's.
    unsafe { ngx_current_msec }
}

/// Nanoseconds of the system's monotonic clock: not cached.
#[inline(never)]
pub fn nanoseconds() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system fills the value; this clock is always there.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The local time with its zone, as ISO 8601 has it: `2026-11-29T12:43:10.123+01:00`.
pub struct Iso8601([u8; 29]);

impl Iso8601 {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The cached time in this form.
pub fn iso8601() -> Iso8601 {
    let milliseconds = cached().msec % 1000;
    // SAFETY: as in `cached`: the text, too, is in one of 64 static slots, used in turn.
    let text =
        unsafe { strings::bytes(std::ptr::read_volatile(&raw const ngx_cached_http_log_iso8601)) };
    let (seconds, zone) = text.split_at_checked(19).unwrap_or_default();
    let digit = |place: usize| b'0' + (milliseconds / place % 10) as u8;
    let mut made = [b' '; 29];
    let fraction = [b'.', digit(100), digit(10), digit(1)];
    let pieces = seconds.iter().chain(&fraction).chain(zone);
    made.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
    Iso8601(made)
}

/// Sets the cached time by the system's clock.
pub fn update() {
    // SAFETY: no arguments; nginx's function guards itself against signal handlers.
    unsafe { ngx_time_update() }
}

/// When nginx made the request, as [`now`] counts.
pub fn request_start(request: Request) -> f64 {
    let r = request.get();
    in_seconds(r.start_sec, r.start_msec as u64)
}

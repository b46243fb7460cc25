//! nginx's error log.

use std::ffi::{CStr, c_char};

use codec::fallible::Grow;

use crate::nginx::core::json_log::{self, Message};
use crate::nginx::sys::{
    NGX_LOG_DEBUG_HTTP, NGX_MAX_ERROR_STR, ngx_cycle, ngx_log_error_core, ngx_log_t,
};

/// What Angie is told of where a line comes from.
#[cfg(angie)]
const SOURCE: &CStr = c"lua";

/// The log levels of error_log, with nginx's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(usize)]
pub enum Level {
    Stderr = 0,
    Emerg = 1,
    Alert = 2,
    Crit = 3,
    Err = 4,
    Warn = 5,
    Notice = 6,
    Info = 7,
    Debug = 8,
}

impl Level {
    /// Its name in nginx's configuration and lines.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Stderr => "stderr",
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Err => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    /// The level that nginx's configuration calls `name`.
    pub fn from_name(name: &[u8]) -> Option<Level> {
        let mut levels = (Level::Emerg as i64..).map_while(Level::from_number);
        levels.find(|level| level.name().as_bytes() == name)
    }

    /// The level with nginx's number `n` (0 to 8).
    pub fn from_number(n: i64) -> Option<Level> {
        const ALL: [Level; 9] = [
            Level::Stderr,
            Level::Emerg,
            Level::Alert,
            Level::Crit,
            Level::Err,
            Level::Warn,
            Level::Notice,
            Level::Info,
            Level::Debug,
        ];
        usize::try_from(n).ok().and_then(|n| ALL.get(n).copied())
    }
}

/// The length at which nginx cuts a line, including the prefix and suffix that nginx adds.
pub const MAX_LINE: usize = NGX_MAX_ERROR_STR as usize;

/// An nginx log; copies are the same log.
#[derive(Clone, Copy)]
pub struct Log(*mut ngx_log_t);

impl Log {
    /// # Safety
    /// `log` must be null or a log that outlives the value (a connection's or the cycle's).
    pub unsafe fn from_ptr(log: *mut ngx_log_t) -> Log {
        Log(log)
    }

    pub fn as_ptr(self) -> *mut ngx_log_t {
        self.0
    }

    /// Sets the action that nginx's lines name (`while …`).
    pub fn set_action(self, action: &'static CStr) {
        // SAFETY: null or a live log, by `from_ptr`; it keeps a pointer to a static text.
        if let Some(log) = unsafe { self.0.as_mut() } {
            log.action = action.as_ptr().cast_mut();
        }
    }

    /// Whether a line of this level would be written.
    pub fn enabled(self, level: Level) -> bool {
        // SAFETY: the log is live or null, `from_ptr`'s contract.
        unsafe { self.0.as_ref() }.is_some_and(|log| log.log_level >= level as usize)
    }

    /// The level in force as nginx numbers it; 8 with any kind of debug lines on.
    pub fn level(self) -> usize {
        // SAFETY: as in `enabled`.
        let level = unsafe { self.0.as_ref() }.map_or(0, |log| log.log_level);
        level.min(Level::Debug as usize)
    }

    /// Whether debug lines of nginx's http modules would be written.
    pub fn is_debugging(self) -> bool {
        // SAFETY: as in `enabled`.
        unsafe { self.0.as_ref() }
            .is_some_and(|log| log.log_level & NGX_LOG_DEBUG_HTTP as usize != 0)
    }

    /// Writes a debug line.
    pub fn debug(self, text: &[u8]) {
        if self.is_debugging() {
            self.put(Level::Debug, 0, text);
        }
    }

    /// As [`Log::debug`], for the macro below, which has checked the level.
    #[cold]
    pub fn debug_formatted(self, text: std::fmt::Arguments) {
        self.debug(Line::of(text).bytes());
    }

    /// As [`Log::write`], for the macro below.
    #[cold]
    pub fn write_formatted(self, level: Level, text: std::fmt::Arguments) {
        self.write(level, Line::of(text).bytes());
    }

    /// Writes one line; nginx cuts it at [`MAX_LINE`].
    pub fn write(self, level: Level, text: &[u8]) {
        self.write_errno(level, 0, text);
    }

    /// Writes one line of several pieces.
    pub fn write_pieces(self, level: Level, pieces: &[&[u8]]) {
        if self.enabled(level) {
            let mut line = Line::new();
            pieces.iter().for_each(|piece| line.append(piece));
            self.put(level, 0, line.bytes());
        }
    }

    /// Writes one line that ends in the description of the system error `errno`.
    pub fn write_errno(self, level: Level, errno: i32, text: &[u8]) {
        if !self.enabled(level) {
            return;
        }
        self.put(level, errno, text);
    }

    fn put(self, level: Level, errno: i32, text: &[u8]) {
        if memchr::memchr(0, text).is_none() {
            return self.put_bytes(level, errno, text);
        }
        self.put_bytes(level, errno, Line::without_nul(text).bytes());
    }

    /// Writes one line with a script's bytes, unchanged, behind `head` bytes that say where it
    /// comes from.
    pub fn write_bytes(self, level: Level, text: &[u8], head: usize) {
        if self.enabled(level) {
            self.write_to_outputs(Message { level, errno: 0, text, head });
        }
    }

    fn put_bytes(self, level: Level, errno: i32, text: &[u8]) {
        self.write_to_outputs(Message { level, errno, text, head: 0 });
    }

    fn write_to_outputs(self, message: Message) {
        if !json_log::is_on() || !json_log::write(self, message) {
            // SAFETY: the log is live (see `enabled`).
            unsafe { write_as_nginx(self.0, message.level, message.errno, message.text) }
        }
    }

    /// The number of the connection that it is of; 0 for none.
    pub(super) fn connection(self) -> u64 {
        // SAFETY: as in `enabled`.
        unsafe { self.0.as_ref() }.map_or(0, |log| log.connection)
    }
}

/// Has nginx write a line to all outputs of a log.
///
/// # Safety
/// `log` must be live.
pub(super) unsafe fn write_as_nginx(log: *mut ngx_log_t, level: Level, errno: i32, text: &[u8]) {
    // SAFETY: the log is live, the contract of this function; "%*s" takes a size_t length and that
    // many bytes.
    unsafe {
        let format: *const c_char = c"%*s".as_ptr();
        let (level, len, bytes) = (level as usize, text.len(), text.as_ptr());
        #[cfg(not(angie))]
        ngx_log_error_core(level, log, errno, format, len, bytes);
        // The file of the source, which its own log may show.
        #[cfg(angie)]
        ngx_log_error_core(level, log, SOURCE.as_ptr(), errno, format, len, bytes);
    }
}

/// The log of the current cycle, for when there is no request.
pub fn cycle_log() -> Log {
    // SAFETY: nginx sets ngx_cycle before it loads a module's configuration, and keeps its log.
    unsafe {
        match (*std::ptr::addr_of!(ngx_cycle)).as_ref() {
            Some(cycle) => Log(cycle.log),
            None => Log(std::ptr::null_mut()),
        }
    }
}

/// Writes one line to the current cycle's log.
pub fn log_cycle(level: Level, text: &[u8]) {
    cycle_log().write(level, text);
}

/// Writes a formatted debug line, where nginx was built with and runs at debug level:
/// `ngx_debug!(log, "lua send eof")`.
#[macro_export]
macro_rules! ngx_debug {
    ($log:expr, $($argument:tt)+) => {{
        let log: $crate::nginx::core::log::Log = $log;
        if cfg!(ngx_feature = "debug") && log.is_debugging() {
            log.debug_formatted(format_args!($($argument)+));
        }
    }};
}

/// Bytes in a formatted line.
pub use codec::fallible::Shown;

/// A buffer on the stack in which a line is formatted, up to the length that nginx would write;
/// where lines are JSON, on the heap if they are longer.
pub struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    /// All of it, if it is longer.
    long: Vec<u8>,
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

impl Line {
    pub fn new() -> Line {
        Line { bytes: [0; MAX_LINE], len: 0, long: Vec::new() }
    }

    /// The line of `text`.
    pub fn of(text: std::fmt::Arguments) -> Line {
        let mut line = Line::new();
        line.add(text);
        line
    }

    /// `text`, with each NUL spelled as nginx spells it in an access log.
    pub(super) fn without_nul(text: &[u8]) -> Line {
        let mut line = Line::new();
        for (number, piece) in text.split(|&byte| byte == 0).enumerate() {
            line.append(if number == 0 { b"" } else { br"\x00" });
            line.append(piece);
        }
        line
    }

    /// Appends as much as fits.
    pub fn append(&mut self, piece: &[u8]) {
        let rest = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = rest.len().min(piece.len());
        if let (Some(to), Some(from)) = (rest.get_mut(..len), piece.get(..len)) {
            to.copy_from_slice(from);
            self.len += len;
        }
        if len < piece.len() && json_log::is_on() {
            self.append_long(piece.get(len..).unwrap_or_default());
        }
    }

    #[cold]
    fn append_long(&mut self, rest: &[u8]) {
        if self.long.is_empty() && self.long.try_append(&self.bytes).is_err() {
            return;
        }
        // Without memory, the line ends there.
        let _ = self.long.try_append(rest);
    }

    /// Appends a formatted piece.
    pub fn add(&mut self, piece: std::fmt::Arguments) {
        // If a piece's `Display` fails, the line ends there.
        let _ = std::fmt::write(self, piece);
    }

    /// Puts `new` where `old` is.
    pub fn replace(&mut self, old: u8, new: u8) {
        let bytes = self.bytes.iter_mut().chain(&mut self.long);
        bytes.filter(|byte| **byte == old).for_each(|byte| *byte = new);
    }

    pub fn bytes(&self) -> &[u8] {
        if !self.long.is_empty() {
            return &self.long;
        }
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        self.append(piece.as_bytes());
        Ok(())
    }
}

/// Writes a formatted line: `ngx_log!(log, Level::Err, "lua entry thread aborted: {}", text)`.
///
/// Bytes that are not UTF-8 go through [`Log::write`] instead.
#[macro_export]
macro_rules! ngx_log {
    ($log:expr, $level:expr, $($argument:tt)+) => {{
        let log: $crate::nginx::core::log::Log = $log;
        if log.enabled($level) {
            log.write_formatted($level, format_args!($($argument)+));
        }
    }};
}

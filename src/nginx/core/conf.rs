//! The configuration parser: a directive's arguments, its place, and errors in nginx's format.

use std::ffi::OsString;
use std::ffi::c_char;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr::{NonNull, null_mut};

use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::{Level, Line};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::core::strings::{self, PoolStr};
use crate::nginx::sys::{
    ngx_conf_full_name, ngx_conf_log_error, ngx_conf_t, ngx_get_full_name, ngx_str_t,
};

/// What a directive's handler returns to nginx's parser.
pub type ConfResult = Result<(), ConfError>;

/// Why a directive was refused.
#[derive(Debug)]
pub enum ConfError {
    /// nginx prints `"NAME" directive TEXT`.
    Directive(&'static std::ffi::CStr),
    /// The error line has been logged already.
    Logged,
}

impl From<OutOfMemory> for ConfError {
    fn from(_: OutOfMemory) -> Self {
        ConfError::Logged
    }
}

/// `NGX_CONF_ERROR`: a macro that casts to a pointer, which bindgen leaves out.
pub const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;

/// A result in the form that nginx's parser wants from a directive's `set` function.
pub fn to_nginx(result: ConfResult) -> *mut c_char {
    match result {
        Ok(()) => null_mut(),
        Err(ConfError::Logged) => CONF_ERROR,
        Err(ConfError::Directive(text)) => text.as_ptr().cast_mut(),
    }
}

/// nginx's configuration parser, at one directive.
#[derive(Clone, Copy)]
pub struct Conf(NonNull<ngx_conf_t>);

impl Conf {
    /// # Safety
    /// `cf` must be the live parser that nginx called with, and not be kept after the call.
    pub unsafe fn from_ptr(cf: *mut ngx_conf_t) -> Option<Conf> {
        NonNull::new(cf).map(Conf)
    }

    pub fn as_ptr(self) -> *mut ngx_conf_t {
        self.0.as_ptr()
    }

    pub fn get(&self) -> &ngx_conf_t {
        // SAFETY: the parser is live during the call that nginx made with it, and no value is kept
        // after that: `from_ptr`'s contract.
        unsafe { self.0.as_ref() }
    }

    /// The pool of the configuration cycle.
    pub fn pool(self) -> Result<Pool, OutOfMemory> {
        // SAFETY: nginx's parser always has a pool.
        unsafe { Pool::from_ptr(self.get().pool) }.ok_or(OutOfMemory)
    }

    /// The parser's log, for lines that do not name its place in the file.
    pub fn parser_log(self) -> crate::nginx::core::log::Log {
        // SAFETY: the parser's log outlives it.
        unsafe { crate::nginx::core::log::Log::from_ptr(self.get().log) }
    }

    pub fn cycle(self) -> Cycle {
        // SAFETY: nginx gives its parser the new cycle before it reads anything; that outlives it.
        match unsafe { Cycle::from_ptr(self.get().cycle) } {
            Some(cycle) => cycle,
            None => unreachable!("nginx's parser has a cycle"),
        }
    }

    /// The directive's words, its name first.
    pub fn words(&self) -> &[ngx_str_t] {
        // SAFETY: nginx fills `args` with ngx_str_t before it calls a directive.
        unsafe { self.get().args.as_ref().map_or(&[], |args| args.as_slice::<ngx_str_t>()) }
    }

    /// Word `index` (0 is the directive's name), or nothing.
    pub fn word(&self, index: usize) -> &[u8] {
        // SAFETY: the words live in the cycle's pool.
        self.words().get(index).map_or(&[], |word| unsafe { strings::bytes(*word) })
    }

    /// The configuration file's path, or nothing for `-g` parameters.
    pub fn file_name(&self) -> &[u8] {
        // SAFETY: conf_file is null or live while the parser runs.
        unsafe { self.get().conf_file.as_ref().map_or(&[], |file| strings::bytes(file.file.name)) }
    }

    /// The line that the parser has reached.
    pub fn line(self) -> usize {
        // SAFETY: as in `file_name`.
        unsafe { self.get().conf_file.as_ref().map_or(0, |file| file.line) }
    }

    /// The directory of the main configuration file, with its slash.
    pub fn prefix(&self) -> &[u8] {
        // SAFETY: the parser always has a cycle, whose strings live in its pool.
        unsafe { strings::bytes((*self.get().cycle).conf_prefix) }
    }

    /// nginx's prefix (`-p`), with its slash.
    pub fn server_prefix(&self) -> &[u8] {
        // SAFETY: as in `prefix`.
        unsafe { strings::bytes((*self.get().cycle).prefix) }
    }

    /// Logs in nginx's format, with ` in FILE:LINE` at the end.
    pub fn log(self, level: Level, text: &[u8]) {
        self.log_errno(level, 0, text);
    }

    /// As [`Conf::log`], with the description of the system error `errno` after the text.
    pub fn log_errno(self, level: Level, errno: i32, text: &[u8]) {
        let line = Line::without_nul(text);
        let text = line.bytes();
        // SAFETY: the parser is live, by `from_ptr`'s contract; "%*s" takes a size_t length and
        // that many bytes.
        unsafe {
            ngx_conf_log_error(
                level as usize,
                self.as_ptr(),
                errno,
                c"%*s".as_ptr(),
                text.len(),
                text.as_ptr(),
            );
        }
    }

    /// As [`Conf::refuse`], without the place in the file.
    pub fn refuse_plainly(self, text: &[u8]) -> ConfError {
        self.parser_log().write(Level::Emerg, text);
        ConfError::Logged
    }

    /// Logs at `[emerg]` and refuses the configuration.
    pub fn refuse(self, text: &[u8]) -> ConfError {
        self.log(Level::Emerg, text);
        ConfError::Logged
    }

    /// `path` made absolute: below the configuration prefix (`conf`), or the server's prefix.
    pub fn full_name(self, path: &[u8], conf_prefix: bool) -> Result<ngx_str_t, OutOfMemory> {
        let mut name = self.pool()?.copy_str(path)?;
        // SAFETY: the parser's cycle is live; `copy_str` ends the name with a NUL.
        let rc =
            unsafe { ngx_conf_full_name(self.get().cycle, &mut name, usize::from(conf_prefix)) };
        if rc == 0 { Ok(name) } else { Err(OutOfMemory) }
    }

    /// [`Conf::full_name`] below the configuration prefix, for the system.
    pub fn full_path(self, path: &[u8]) -> Result<PathBuf, OutOfMemory> {
        let name = self.full_name(path, true)?;
        // SAFETY: a name in the cycle's pool.
        let name = unsafe { strings::bytes(name) };
        Ok(OsString::from_vec(codec::fallible::copy(name)?).into())
    }
}

/// Reads a size in bytes as nginx does: a number, optionally followed by `k` or `m`; `None` for
/// anything else.
pub fn parse_size(text: &[u8]) -> Option<usize> {
    let mut text = strings::borrowed(text);
    // SAFETY: nginx only reads the text.
    usize::try_from(unsafe { crate::nginx::sys::ngx_parse_size(&mut text) }).ok()
}

/// `path` made absolute below nginx's prefix, at run time; the result lives in `pool`.
pub fn below_prefix(pool: Pool, path: &[u8]) -> Option<PoolStr> {
    let mut name = pool.copy_str(path).ok()?;
    // SAFETY: nginx's current cycle is live while requests run, and its prefix is only read;
    // `copy_str` ends the name with a NUL. What `ngx_conf_full_name` makes would be in the cycle's
    // pool, for ever.
    unsafe {
        let prefix = &raw mut (*crate::nginx::sys::ngx_cycle).prefix;
        let rc = ngx_get_full_name(pool.as_ptr(), prefix, &mut name);
        (rc == 0).then(|| PoolStr::new(name))
    }
}

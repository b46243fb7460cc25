//! A compiled expression as Lua code has it.
//!
//! Its head has the layout of `ngx_http_lua_regex_t`: lua-resty-core reads the captures, the table
//! of names and the replacement there. What is behind the head is this module's own.

use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::{null, null_mut};

use codec::fallible::{self, Grow, OutOfMemory, Shown};
use codec::recursion::endless_call;
use pcre2_sys::{
    PCRE2_ERROR_BADOFFSET, PCRE2_ERROR_JIT_STACKLIMIT, PCRE2_ERROR_MATCHLIMIT, PCRE2_ERROR_NOMATCH,
    PCRE2_EXTENDED, PCRE2_MATCH_INVALID_UTF, PCRE2_UTF,
};

use super::dialect::Dialect;
use super::template::{ReplaceValue, Replacement};
use crate::nginx::Level;
use crate::nginx::core::allocator;
use crate::nginx::core::log::cycle_log;
use crate::nginx::core::pcre2::{Code, CompileError};
use crate::{ngx_debug, ngx_log};
use codec::pcre1;

/// lua-resty-core's own flags. This one is for option `o`: the expression goes into its cache.
const KEPT: c_int = 0x01;
pub const DFA: c_int = 0x02;
pub const JIT: c_int = 0x04;
pub const NO_UTF8_CHECK: c_int = 0x10;

/// `ngx_http_lua_regex_t`.
#[repr(C)]
pub struct Head {
    pool: *mut c_void,
    name_table: *mut u8,
    name_count: c_int,
    name_entry_size: c_int,
    /// The number of groups; zero for expressions that match by DFA.
    ncaptures: c_int,
    captures: *mut c_int,
    regex: *mut c_void,
    regex_sd: *mut c_void,
    replace: *const ReplaceValue,
    pattern: *const c_char,
}

const _: () = {
    assert!(size_of::<Head>() == 72);
    assert!(offset_of!(Head, name_table) == 8);
    assert!(offset_of!(Head, name_count) == 16);
    assert!(offset_of!(Head, ncaptures) == 24);
    assert!(offset_of!(Head, captures) == 32);
    assert!(offset_of!(Head, replace) == 56);
    assert!(offset_of!(Head, pattern) == 64);
};

/// A compiled expression.
#[repr(C)]
pub struct Regex {
    head: Head,
    code: Code,
    dialect: Dialect,
    /// Two offsets for the whole match and for each group, -1 where there is none. The head points
    /// into it.
    captures: Vec<c_int>,
    /// The last subject's address and length: the captures are offsets into it.
    subject: (*const u8, usize),
    replacement: Option<Box<Replacement>>,
    match_limit: u32,
    translation: Translation,
}

/// Whether an expression without the option `j` is JIT-compiled all the same.
#[derive(Clone, Copy)]
enum Translation {
    /// It will be, after this many more matches.
    After(u32),
    Done,
    Never,
}

/// An expression is JIT-compiled after this many matches. One that is cached soon has as many; for
/// one that is used for a single call, because the cache is full, compiling does not pay.
const WORTH_TRANSLATING: u32 = 32;

/// The offset of a group that did not take part in the match.
const NONE: c_int = -1;

impl Regex {
    /// Compiles `pattern` with the option bits of the dialect that is presented. A `match_limit` of
    /// 0 is PCRE2's default. The error is a text for Lua code.
    pub fn compile(
        pattern: &[u8],
        flags: c_int,
        bits: u32,
        match_limit: u32,
    ) -> Result<Box<Regex>, Vec<u8>> {
        allocator::check().map_err(|_| fallible::reason(b"no memory"))?;
        let dialect = Dialect::presented();
        let mut code = compile(pattern, flags, bits, dialect)
            .map_err(|error| describe(&error, pattern, dialect))?;
        let jit_compiled = flags & JIT != 0 && {
            let outcome = code.jit_compile(match_limit);
            log_translation(dialect, outcome, pattern);
            outcome.is_ok()
        };
        let groups = code.capture_count() as usize;
        let names = code.names();
        let mut captures = Vec::new();
        captures.try_fill((groups + 1) * 2, NONE).map_err(|_| fallible::reason(b"no memory"))?;
        let head = Head {
            pool: null_mut(),
            name_table: if names.count == 0 { null_mut() } else { names.table },
            name_count: names.count as c_int,
            name_entry_size: names.entry_size as c_int,
            ncaptures: if flags & DFA != 0 { 0 } else { groups as c_int },
            captures: captures.as_mut_ptr(),
            regex: null_mut(),
            regex_sd: null_mut(),
            replace: null(),
            pattern: null(),
        };
        let subject = (null(), 0);
        // Not with a limit of the script's or the pattern's own, towards which JIT-compiled code
        // counts differently.
        let may_translate =
            flags & (KEPT | DFA | JIT) == KEPT && match_limit == 0 && !code.has_limits();
        let translation = match may_translate {
            true => Translation::After(WORTH_TRANSLATING),
            false => Translation::Never,
        };
        let match_limit = if jit_compiled { match_limit } else { dialect.match_limit(match_limit) };
        Ok(Box::new(Regex {
            head,
            code,
            dialect,
            captures,
            subject,
            replacement: None,
            match_limit,
            translation,
        }))
    }

    /// Matches `subject` from byte `start` on, and leaves the captures where lua-resty-core finds
    /// them. Returns a result in the dialect of the expression: the number of pairs that are set, 0
    /// for a DFA match that has shorter ones beside it, or a negative code.
    pub fn exec(&mut self, flags: c_int, subject: &[u8], start: c_int) -> c_int {
        self.captures.fill(NONE);
        self.subject = (subject.as_ptr(), subject.len());
        if c_int::try_from(subject.len()).is_err() {
            return self.dialect.bad_length();
        }
        let Ok(start) = usize::try_from(start) else {
            return self.dialect.result(PCRE2_ERROR_BADOFFSET);
        };
        let rc = if flags & DFA != 0 {
            self.head.ncaptures = 0;
            // Only the longest match is asked for, not the shorter ones beside it.
            match self.code.find_longest(subject, start, 0) {
                rc if rc > 1 => 0,
                rc => rc,
            }
        } else {
            self.find(subject, start)
        };
        if rc < 0 {
            return self.dialect.result(rc);
        }
        self.keep_captures((rc as usize).max(1));
        rc
    }

    fn find(&mut self, subject: &[u8], start: usize) -> c_int {
        self.translation = match self.translation {
            Translation::After(0) if self.code.jit_compile(0).is_ok() => Translation::Done,
            Translation::After(0) => Translation::Never,
            Translation::After(matches) => Translation::After(matches - 1),
            decided => decided,
        };
        match (self.translation, self.code.find(subject, start, self.match_limit)) {
            // The interpreter has other limits.
            (Translation::Done, PCRE2_ERROR_JIT_STACKLIMIT | PCRE2_ERROR_MATCHLIMIT) => {
                self.code.find_interpreted(subject, start, self.match_limit)
            }
            // The interpreter does not use that stack. If it fails too, its result is final.
            (_, PCRE2_ERROR_JIT_STACKLIMIT) => {
                let limit = self.dialect.match_limit(self.match_limit);
                match self.code.find_interpreted(subject, start, limit) {
                    rc if rc >= 0 || rc == PCRE2_ERROR_NOMATCH => rc,
                    _ => PCRE2_ERROR_JIT_STACKLIMIT,
                }
            }
            (_, rc) => rc,
        }
    }

    fn keep_captures(&mut self, pairs: usize) {
        let set = self.code.offsets().get(..pairs * 2).unwrap_or(self.code.offsets());
        for (capture, &offset) in self.captures.iter_mut().zip(set) {
            // An unset offset is the greatest number there is: -1. The others are within the
            // subject, whose length is an int.
            *capture = offset as c_int;
        }
    }

    /// Group `number` of the last match, as a range of bytes of `subject`; `None` if it did not
    /// take part in the match, or if that was of another subject.
    pub fn group(&self, subject: *const u8, number: usize) -> Option<std::ops::Range<usize>> {
        let [from, to] = self.captures.as_chunks().0.get(number)?;
        let range = usize::try_from(*from).ok()?..usize::try_from(*to).ok()?;
        let (last, len) = self.subject;
        (subject == last && range.start <= range.end && range.end <= len).then_some(range)
    }

    /// Sets what a match is replaced with.
    pub fn set_replacement(&mut self, replacement: Box<Replacement>) {
        let replacement = self.replacement.insert(replacement);
        self.head.replace = replacement.complex_value();
    }
}

fn compile(
    pattern: &[u8],
    flags: c_int,
    bits: u32,
    dialect: Dialect,
) -> Result<Code, CompileError> {
    let options = dialect.options(bits);
    let mut options = options.ok_or(CompileError { code: pcre1::UNKNOWN_OPTION, offset: 0 })?;
    // Without the check, a subject that is not UTF-8 would be undefined behaviour in PCRE2. This
    // option makes it match around the bad bytes. The DFA algorithm does not support it, so there
    // the check stays.
    if flags & NO_UTF8_CHECK != 0 && flags & DFA == 0 && options & PCRE2_UTF != 0 {
        options |= PCRE2_MATCH_INVALID_UTF;
    }
    let code = Code::compile(pattern, options)?;
    if !dialect.refuses_endless_calls() {
        return Ok(code);
    }
    match endless_call(pattern, options & PCRE2_EXTENDED != 0) {
        Some(offset) => Err(CompileError { code: pcre1::ENDLESS_CALL, offset }),
        None => Ok(code),
    }
}

/// Logs the result of a JIT compilation that a script asked for.
fn log_translation(dialect: Dialect, outcome: Result<(), c_int>, pattern: &[u8]) {
    let log = cycle_log();
    match (dialect, outcome) {
        (Dialect::Pcre1, outcome) => {
            ngx_debug!(log, "pcre JIT compiling result: {}", c_int::from(outcome.is_ok()));
        }
        (Dialect::Pcre2, Ok(())) => ngx_debug!(log, "pcre2 JIT compiled successfully"),
        (Dialect::Pcre2, Err(code)) => {
            let pattern = Shown(pattern);
            ngx_log!(
                log,
                Level::Info,
                "pcre2_jit_compile() failed: {code} in \"{pattern}\", ignored"
            );
        }
    }
}

/// `pcre_compile() failed: TEXT in "PATTERN" at "REST"`.
fn describe(error: &CompileError, pattern: &[u8], dialect: Dialect) -> Vec<u8> {
    let function = dialect.compile_function().as_bytes();
    let why = dialect.compile_error_text(error.code);
    let offset = dialect.error_offset(error.code, error.offset, pattern);
    let begin: [&[u8]; 6] = [function, b" failed: ", why.as_bytes(), b" in \"", pattern, b"\""];
    let end: [&[u8]; 3] = [b" at \"", pattern.get(offset..).unwrap_or_default(), b"\""];
    let end = if offset < pattern.len() { end.as_slice() } else { &[] };
    let describe = || {
        let mut text = fallible::concat(&begin)?;
        end.iter().try_for_each(|piece| text.try_append(piece))?;
        Ok::<_, OutOfMemory>(text)
    };
    describe().unwrap_or_else(|_| fallible::reason(b"no memory"))
}

//! PCRE2's C functions, wrapped so that their preconditions hold by construction.
//!
//! Match limits and the JIT stack are in one match context per thread, which all expressions share;
//! it is made at the first match. JIT-compiled expressions have a context of their own, unless a
//! script sets the JIT stack's size.

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use codec::fallible::{self, Shown};
use pcre2_sys::{
    PCRE2_CONFIG_JIT, PCRE2_CONFIG_MATCHLIMIT, PCRE2_CONFIG_VERSION, PCRE2_ERROR_NOMEMORY,
    PCRE2_INFO_ALLOPTIONS, PCRE2_INFO_CAPTURECOUNT, PCRE2_INFO_DEPTHLIMIT, PCRE2_INFO_HEAPLIMIT,
    PCRE2_INFO_MATCHLIMIT, PCRE2_INFO_NAMECOUNT, PCRE2_INFO_NAMEENTRYSIZE, PCRE2_INFO_NAMETABLE,
    PCRE2_JIT_COMPLETE, PCRE2_MATCH_INVALID_UTF, PCRE2_NO_JIT, PCRE2_UTF, pcre2_code_8,
    pcre2_code_free_8, pcre2_compile_8, pcre2_config_8, pcre2_dfa_match_8,
    pcre2_get_error_message_8, pcre2_get_ovector_count_8, pcre2_get_ovector_pointer_8,
    pcre2_jit_compile_8, pcre2_jit_match_8, pcre2_jit_stack_8, pcre2_jit_stack_assign_8,
    pcre2_jit_stack_create_8, pcre2_jit_stack_free_8, pcre2_match_8, pcre2_match_context_8,
    pcre2_match_context_create_8, pcre2_match_context_free_8, pcre2_match_data_8,
    pcre2_match_data_create_from_pattern_8, pcre2_match_data_free_8, pcre2_pattern_info_8,
    pcre2_set_match_limit_8,
};

use crate::nginx::core::executable_memory;
use crate::per_thread;

/// The size with which a JIT stack begins, and the least that it may grow to, in bytes.
const MIN_JIT_STACK: usize = 32 * 1024;

/// The working memory for a DFA match, in `int`s.
const DFA_WORKSPACE: usize = 1000;

/// The interpreter may take some hundred bytes of working memory for each byte of the subject, and PCRE2 keeps
/// them with the match data. For a longer subject than this, it gets match data for one match.
const SHORT_SUBJECT: usize = 1024;

/// Why a pattern was refused: PCRE2's code, and the offset of the error in the pattern.
pub struct CompileError {
    pub code: c_int,
    pub offset: usize,
}

/// A compiled expression, with space for the result of its last match.
pub struct Code {
    code: NonNull<pcre2_code_8>,
    matched: NonNull<pcre2_match_data_8>,
    /// The offsets in `matched`, and how many there are.
    offsets: (*const usize, usize),
    /// The context for its JIT-compiled code; `None` if it has no such code, or none that may run
    /// without PCRE2's checks of the subject.
    own_context: Option<MatchContext>,
    is_jit_compiled: bool,
}

/// Whether a script has set the size of the JIT stack. Only the threads' own contexts have that
/// stack, so they are used from then on.
static STACK_IS_SET: AtomicBool = AtomicBool::new(false);

/// The names of an expression's groups, as PCRE lays them out: entries of `entry_size` bytes, each
/// a group's number in two bytes, then the name and a NUL. It lives as long as the code.
pub struct NameTable {
    pub table: *mut u8,
    pub count: u32,
    pub entry_size: u32,
}

/// A query about compiled code for which PCRE2 writes a 32-bit number.
#[derive(Clone, Copy)]
#[repr(u32)]
enum PatternNumber {
    AllOptions = PCRE2_INFO_ALLOPTIONS,
    CaptureCount = PCRE2_INFO_CAPTURECOUNT,
    NameCount = PCRE2_INFO_NAMECOUNT,
    NameEntrySize = PCRE2_INFO_NAMEENTRYSIZE,
}

impl Code {
    /// Compiles `pattern`.
    pub fn compile(pattern: &[u8], options: u32) -> Result<Code, CompileError> {
        let (mut code, mut offset) = (0, 0);
        // SAFETY: PCRE2 reads the pattern, a slice with its length, during the call only; what it
        // returns is checked for null, and freed here or by `drop`.
        unsafe {
            let compiled = pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                options,
                &mut code,
                &mut offset,
                null_mut(),
            );
            let compiled = NonNull::new(compiled).ok_or(CompileError { code, offset })?;
            let matched = pcre2_match_data_create_from_pattern_8(compiled.as_ptr(), null_mut());
            let Some(matched) = NonNull::new(matched) else {
                pcre2_code_free_8(compiled.as_ptr());
                return Err(CompileError { code: PCRE2_ERROR_NOMEMORY, offset: pattern.len() });
            };
            let pairs = pcre2_get_ovector_count_8(matched.as_ptr()) as usize;
            let offsets = (pcre2_get_ovector_pointer_8(matched.as_ptr()).cast_const(), pairs * 2);
            Ok(Code { code: compiled, matched, offsets, own_context: None, is_jit_compiled: false })
        }
    }

    /// JIT-compiles the code, whose work is then bounded by `limit` (0 is PCRE2's default). If that
    /// fails, with PCRE2's error code, the code is interpreted.
    pub fn jit_compile(&mut self, limit: u32) -> Result<(), c_int> {
        if executable_memory::is_forbidden() {
            return Err(PCRE2_ERROR_NOMEMORY);
        }
        // SAFETY: `self` owns the code, which no match uses now, because a match takes `&mut self`
        // too.
        match unsafe { pcre2_jit_compile_8(self.code.as_ptr(), PCRE2_JIT_COMPLETE) } {
            0 => {}
            code => return Err(code),
        }
        self.is_jit_compiled = true;
        let options = self.number(PatternNumber::AllOptions);
        // With PCRE2_UTF, a subject must be checked before the compiled code runs, unless that
        // matches around invalid UTF-8.
        if options & PCRE2_UTF == 0 || options & PCRE2_MATCH_INVALID_UTF != 0 {
            self.own_context = MatchContext::new();
        }
        if let Some(context) = &mut self.own_context {
            context.set_limit(limit);
        }
        Ok(())
    }

    /// Whether the pattern itself bounds the work, as in `(*LIMIT_MATCH=100)`.
    pub fn has_limits(&self) -> bool {
        [PCRE2_INFO_MATCHLIMIT, PCRE2_INFO_DEPTHLIMIT, PCRE2_INFO_HEAPLIMIT].into_iter().any(
            |what| {
                let mut limit: u32 = 0;
                // SAFETY: `self` owns the code; these queries write a 32-bit number, or fail if
                // none is set.
                unsafe {
                    pcre2_pattern_info_8(self.code.as_ptr(), what, (&raw mut limit).cast()) == 0
                }
            },
        )
    }

    /// How many groups the expression has.
    pub fn capture_count(&self) -> u32 {
        self.number(PatternNumber::CaptureCount)
    }

    /// The names of the groups.
    pub fn names(&self) -> NameTable {
        let mut table: *mut u8 = null_mut();
        // SAFETY: `self` owns the code; this query writes a pointer.
        unsafe {
            let into = (&raw mut table).cast();
            pcre2_pattern_info_8(self.code.as_ptr(), PCRE2_INFO_NAMETABLE, into);
        }
        NameTable {
            table,
            count: self.number(PatternNumber::NameCount),
            entry_size: self.number(PatternNumber::NameEntrySize),
        }
    }

    fn number(&self, what: PatternNumber) -> u32 {
        let (what, mut number) = (what as u32, 0u32);
        // SAFETY: `self` owns the code; for these queries, PCRE2 writes a 32-bit number.
        unsafe { pcre2_pattern_info_8(self.code.as_ptr(), what, (&raw mut number).cast()) };
        number
    }

    /// Matches `subject` from byte `start` on. `limit` bounds the work; zero is PCRE2's default.
    /// Returns PCRE2's result: the number of pairs that are set, or a negative code.
    pub fn find(&mut self, subject: &[u8], start: usize, limit: u32) -> c_int {
        if let Some(context) = &self.own_context
            && start <= subject.len()
            && !STACK_IS_SET.load(Ordering::Relaxed)
        {
            // SAFETY: as in `find_into`. What PCRE2 does not check here: that the code is
            // JIT-compiled and needs no UTF-8, or tolerates what is none, which `own_context` says;
            // and that `start` is within the subject, which the condition above has checked.
            return unsafe {
                pcre2_jit_match_8(
                    self.code.as_ptr(),
                    subject.as_ptr(),
                    subject.len(),
                    start,
                    0,
                    self.matched.as_ptr(),
                    context.context.as_ptr(),
                )
            };
        }
        if !self.is_jit_compiled && subject.len() > SHORT_SUBJECT {
            return self.find_interpreted(subject, start, limit);
        }
        // SAFETY: the match data of the code.
        unsafe { self.find_into(self.matched, subject, start, 0, limit) }
    }

    /// As [`Code::find`], by the interpreter, whose working memory is freed before it returns.
    pub fn find_interpreted(&mut self, subject: &[u8], start: usize, limit: u32) -> c_int {
        // SAFETY: `self` owns the code; the new match data is checked for null, freed once, and not
        // used afterwards. Both were made from the same code, and have as many pairs.
        unsafe {
            let matched = pcre2_match_data_create_from_pattern_8(self.code.as_ptr(), null_mut());
            let Some(matched) = NonNull::new(matched) else { return PCRE2_ERROR_NOMEMORY };
            let rc = self.find_into(matched, subject, start, PCRE2_NO_JIT, limit);
            std::ptr::copy_nonoverlapping(
                pcre2_get_ovector_pointer_8(matched.as_ptr()),
                pcre2_get_ovector_pointer_8(self.matched.as_ptr()),
                self.offsets.1,
            );
            pcre2_match_data_free_8(matched.as_ptr());
            rc
        }
    }

    /// # Safety
    /// The match data must have been made from the code.
    unsafe fn find_into(
        &self,
        matched: NonNull<pcre2_match_data_8>,
        subject: &[u8],
        start: usize,
        options: u32,
        limit: u32,
    ) -> c_int {
        let Some(context) = context(limit) else { return PCRE2_ERROR_NOMEMORY };
        // SAFETY: `self` owns the code, from which the match data was made, the contract of this
        // function; the subject is a slice with its length, the context the thread's own. PCRE2
        // checks `start`.
        unsafe {
            pcre2_match_8(
                self.code.as_ptr(),
                subject.as_ptr(),
                subject.len(),
                start,
                options,
                matched.as_ptr(),
                context,
            )
        }
    }

    /// As [`Code::find`], for the longest match, by PCRE2's DFA algorithm; sets the first pair.
    pub fn find_longest(&mut self, subject: &[u8], start: usize, options: u32) -> c_int {
        let Some(context) = context(0) else { return PCRE2_ERROR_NOMEMORY };
        let mut workspace = [0; DFA_WORKSPACE];
        // SAFETY: as in `find_into`; the workspace is passed with its length.
        unsafe {
            pcre2_dfa_match_8(
                self.code.as_ptr(),
                subject.as_ptr(),
                subject.len(),
                start,
                options,
                self.matched.as_ptr(),
                context,
                workspace.as_mut_ptr(),
                workspace.len(),
            )
        }
    }

    /// The start and end of each group at the last match; `usize::MAX` if a group did not take
    /// part. Only as many pairs are valid as the result of the match says.
    pub fn offsets(&self) -> &[usize] {
        let (offsets, count) = self.offsets;
        // SAFETY: the match data, which `self` owns, holds so many offsets; only a match writes
        // them, which takes `&mut self`.
        unsafe { std::slice::from_raw_parts(offsets, count) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: `self` owns both, nothing else frees them, and this runs once.
        unsafe {
            pcre2_match_data_free_8(self.matched.as_ptr());
            pcre2_code_free_8(self.code.as_ptr());
        }
    }
}

/// A match context, and the JIT stack that it uses; without one, JIT-compiled code uses the C
/// stack.
struct MatchContext {
    context: NonNull<pcre2_match_context_8>,
    jit_stack: Option<NonNull<pcre2_jit_stack_8>>,
    default_limit: u32,
    limit: u32,
}

per_thread! {
    static CONTEXT: RefCell<Option<MatchContext>> = RefCell::new(None);
}

impl MatchContext {
    fn new() -> Option<MatchContext> {
        // SAFETY: a null pointer asks for PCRE2's own allocator; the result is checked for null.
        let context = NonNull::new(unsafe { pcre2_match_context_create_8(null_mut()) })?;
        let default_limit = configured(LibraryNumber::MatchLimit);
        Some(MatchContext { context, jit_stack: None, default_limit, limit: default_limit })
    }

    fn set_limit(&mut self, limit: u32) {
        let limit = if limit == 0 { self.default_limit } else { limit };
        if limit != self.limit {
            // SAFETY: `self` owns the context, and no match uses it now.
            unsafe { pcre2_set_match_limit_8(self.context.as_ptr(), limit) };
            self.limit = limit;
        }
    }

    fn replace_jit_stack(&mut self, stack: NonNull<pcre2_jit_stack_8>) {
        // SAFETY: the context takes the new stack before the old one is freed; no match is running,
        // for a match does not call back.
        unsafe {
            pcre2_jit_stack_assign_8(self.context.as_ptr(), None, stack.as_ptr().cast());
            if let Some(old) = self.jit_stack.replace(stack) {
                pcre2_jit_stack_free_8(old.as_ptr());
            }
        }
    }
}

impl Drop for MatchContext {
    fn drop(&mut self) {
        // SAFETY: `self` owns both, nothing else frees them, and this runs once.
        unsafe {
            pcre2_match_context_free_8(self.context.as_ptr());
            if let Some(stack) = self.jit_stack {
                pcre2_jit_stack_free_8(stack.as_ptr());
            }
        }
    }
}

/// This thread's context, with a match limit set; `None` without memory.
fn context(limit: u32) -> Option<*mut pcre2_match_context_8> {
    CONTEXT.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = MatchContext::new();
        }
        let context = slot.as_mut()?;
        context.set_limit(limit);
        Some(context.context.as_ptr())
    })
}

/// Gives this thread's JIT-compiled code a stack that grows up to `size` bytes; false if there is
/// no memory.
pub fn set_jit_stack_size(size: usize) -> bool {
    // SAFETY: sizes of which the second is not smaller; a null pointer asks for PCRE2's own
    // allocator, and the result is checked for null.
    let stack =
        unsafe { pcre2_jit_stack_create_8(MIN_JIT_STACK, size.max(MIN_JIT_STACK), null_mut()) };
    let Some(stack) = NonNull::new(stack) else { return false };
    STACK_IS_SET.store(true, Ordering::Relaxed);
    CONTEXT.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = MatchContext::new();
        }
        match slot {
            Some(context) => context.replace_jit_stack(stack),
            // SAFETY: it has just been made, and no context has got it.
            None => unsafe { pcre2_jit_stack_free_8(stack.as_ptr()) },
        }
        slot.is_some()
    })
}

/// Whether the library has a JIT compiler for this processor.
pub fn has_jit() -> bool {
    configured(LibraryNumber::Jit) != 0
}

/// A query about the library for which it writes a 32-bit number.
#[derive(Clone, Copy)]
#[repr(u32)]
enum LibraryNumber {
    MatchLimit = PCRE2_CONFIG_MATCHLIMIT,
    Jit = PCRE2_CONFIG_JIT,
}

fn configured(what: LibraryNumber) -> u32 {
    let (what, mut number) = (what as u32, 0u32);
    // SAFETY: for these queries, PCRE2 writes a 32-bit number.
    unsafe { pcre2_config_8(what, (&raw mut number).cast()) };
    number
}

/// The library's version and its date, as in "10.42 2022-12-11".
pub fn version() -> &'static CStr {
    // More than any version takes.
    static VERSION: OnceLock<[u8; 128]> = OnceLock::new();
    let text = VERSION.get_or_init(|| {
        let mut buffer = [0u8; 128];
        // SAFETY: without a buffer, the call returns the length of the text and its NUL.
        let needed = unsafe { pcre2_config_8(PCRE2_CONFIG_VERSION, null_mut()) };
        if usize::try_from(needed).is_ok_and(|needed| needed < buffer.len()) {
            // SAFETY: the text and its NUL take `needed` bytes, which the buffer has, as just
            // checked.
            unsafe { pcre2_config_8(PCRE2_CONFIG_VERSION, buffer.as_mut_ptr().cast()) };
        }
        buffer
    });
    CStr::from_bytes_until_nul(text).unwrap_or_default()
}

/// PCRE2's own text for one of its codes.
pub fn error_text(code: c_int) -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: PCRE2 writes no more than the length that is passed with the buffer.
    let len = unsafe { pcre2_get_error_message_8(code, buffer.as_mut_ptr(), buffer.len()) };
    let text = usize::try_from(len).ok().and_then(|len| buffer.get(..len)).unwrap_or_default();
    fallible::text(format_args!("{}", Shown(text)))
}

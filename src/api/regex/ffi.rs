//! The C symbols behind `ngx.re.*`.

#![allow(unsafe_code, reason = "C code calls what is here")]

use std::ffi::{c_char, c_int};
use std::ops::Range;
use std::ptr::{copy_nonoverlapping, null, null_mut};

use export::export;
use pcre2_sys::PCRE2_ERROR_INTERNAL;

use super::compiled::Regex;
use super::dialect::Dialect;
use super::template::{ReplaceValue, Replacement, ScriptEngine};
use crate::api::ffi;
use crate::config::MainConf;
use crate::nginx::Level;
use crate::nginx::core::pcre2;
use crate::nginx::core::{log, strings};
use crate::ngx_log;

/// Compiles an expression.
///
/// `flags` are lua-resty-core's own (0x01 cached, 0x02 DFA, 0x04 JIT, 0x10 no UTF-8 check),
/// `pcre_opts` the option bits of the version that `ngx_http_lua_ffi_pcre_version` returns. The
/// caller owns the result, and frees it by `ngx_http_lua_ffi_destroy_regex`. Returns null for an
/// error, with its text in `errstr`, which has a capacity of `errstr_size` bytes, the NUL included.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_compile_regex(
    pat: *const u8,
    pat_len: usize,
    flags: c_int,
    pcre_opts: c_int,
    errstr: *mut u8,
    errstr_size: usize,
) -> *mut Regex {
    // SAFETY: lua-resty-core passes a Lua string with its length.
    let pattern = unsafe { strings::raw(pat, pat_len) };
    let limit = MainConf::with_current(MainConf::regex_match_limit).unwrap_or(0);
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    match Regex::compile(pattern, flags, pcre_opts as u32, limit) {
        Ok(regex) => Box::into_raw(regex),
        Err(text) => {
            // SAFETY: lua-resty-core passes a buffer of its own, of `errstr_size` bytes.
            unsafe { write_text(errstr, errstr_size, &text) };
            null_mut()
        }
    }
}

/// Writes `text`, shortened if it does not fit, and a NUL.
///
/// # Safety
/// `into` must be null or valid for `size` bytes.
unsafe fn write_text(into: *mut u8, size: usize, text: &[u8]) {
    if into.is_null() || size == 0 {
        return;
    }
    let len = text.len().min(size - 1);
    // SAFETY: the caller promises `size` bytes at `into`, null is handled above, and the copy and
    // its NUL take no more than that.
    unsafe {
        copy_nonoverlapping(text.as_ptr(), into, len);
        into.add(len).write(0);
    }
}

/// Matches the `len` bytes at `s` from byte `pos` on, and leaves the captures in the expression.
///
/// Returns PCRE's result: the number of pairs that are set, 0 for a DFA match that has shorter
/// ones beside it, -1 for no match, another negative code for an error.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export(internal())]
pub unsafe extern "C" fn ngx_http_lua_ffi_exec_regex(
    re: *mut Regex,
    flags: c_int,
    s: *const u8,
    len: usize,
    pos: c_int,
) -> c_int {
    // SAFETY: lua-resty-core passes what compile_regex made and nobody has freed, or null, and a
    // Lua string; nothing else uses the expression during the call.
    let (regex, subject) = unsafe { (re.as_mut(), raw_or_empty(s, len)) };
    match regex {
        Some(regex) => regex.exec(flags, subject, pos),
        None => internal(),
    }
}

/// The code for a failure inside the matching.
fn internal() -> c_int {
    Dialect::presented().result(PCRE2_ERROR_INTERNAL)
}

/// The bytes at `data`; if there are none, an empty slice that still begins at `data`.
///
/// # Safety
/// `data` must be null or valid for `len` bytes and for `'a`.
unsafe fn raw_or_empty<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller promises `len` bytes for `'a`; null is handled above.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// Frees an expression; null is fine.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_destroy_regex(re: *mut Regex) {
    if !re.is_null() {
        // SAFETY: compile_regex made it from a box, and lua-resty-core's cdata gives it back once.
        drop(unsafe { Box::from_raw(re) });
    }
}

/// Parses a replacement (`$1`, `${1}`, `$$`) and keeps it in the expression, where lua-resty-core
/// finds it; a former replacement is freed.
///
/// Returns 0, or -1 if the replacement is invalid; the reason is in the error log.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_compile_replace_template(
    re: *mut Regex,
    replace_data: *const u8,
    replace_len: usize,
) -> c_int {
    // SAFETY: lua-resty-core passes what compile_regex made and nobody has freed, or null, and a
    // Lua string; nothing else uses the expression during the call.
    let (regex, source) = unsafe { (re.as_mut(), strings::raw(replace_data, replace_len)) };
    let Some(regex) = regex else { return ffi::ERROR };
    match Replacement::parse(source) {
        Ok(replacement) => {
            regex.set_replacement(replacement);
            ffi::OK
        }
        Err(error) => {
            ngx_log!(log::cycle_log(), Level::Err, "{error}");
            ffi::ERROR
        }
    }
}

/// Makes a script engine, which renders replacements for one match at a time. The caller owns it,
/// and frees it by `ngx_http_lua_ffi_destroy_script_engine`.
#[export]
pub extern "C" fn ngx_http_lua_ffi_create_script_engine() -> *mut ScriptEngine {
    let engine = ScriptEngine { subject: null(), regex: null(), groups: 0, measured: None };
    Box::into_raw(Box::new(engine))
}

/// Sets the match that replacements are rendered for: the last match of `compiled`, with the
/// subject `subj` and `count` groups. Both must live until the rendering is finished.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_init_script_engine(
    e: *mut ScriptEngine,
    subj: *const u8,
    compiled: *mut Regex,
    count: c_int,
) {
    // SAFETY: lua-resty-core passes the one engine that create_script_engine made for it, or null.
    if let Some(engine) = unsafe { e.as_mut() } {
        engine.subject = subj;
        engine.regex = compiled;
        engine.groups = usize::try_from(count).unwrap_or(0);
        engine.measured = None;
    }
}

/// Frees a script engine; null is fine.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_destroy_script_engine(e: *mut ScriptEngine) {
    if !e.is_null() {
        // SAFETY: create_script_engine made it from a box, and lua-resty-core gives it back once.
        drop(unsafe { Box::from_raw(e) });
    }
}

/// The length in bytes of a replacement, for the match that the engine was set to.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_script_eval_len(
    e: *mut ScriptEngine,
    cv: *const ReplaceValue,
) -> usize {
    // SAFETY: lua-resty-core passes its engine, and the replacement of an expression that it has
    // not freed.
    let Some((engine, value)) = (unsafe { e.as_mut().zip(cv.as_ref()) }) else { return 0 };
    // SAFETY: the value is part of a boxed Replacement, as is the template that it points to.
    let Some(template) = (unsafe { value.template().as_ref() }) else { return 0 };
    // SAFETY: `init_script_engine` asks for an expression that lives until the rendering is
    // finished.
    let len = template.rendered_len(|n| unsafe { group(engine, n) }.map_or(0, |range| range.len()));
    engine.measured = Some((cv, len));
    len
}

/// Writes a replacement to `dst`, which has space for as many bytes as
/// `ngx_http_lua_ffi_script_eval_len` returned. Returns the number of bytes written: 0 if that length
/// is not the last one that was asked for, because a finalizer has used the engine since.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_script_eval_data(
    e: *mut ScriptEngine,
    cv: *const ReplaceValue,
    dst: *mut u8,
) -> usize {
    // SAFETY: as in script_eval_len, whose result is the size of `dst`: no more is written. Nothing
    // has set the engine to another match since, whose expression may be gone. A group is within
    // the subject that was matched, and `group` sees to it that the engine has the same one.
    unsafe {
        let Some((engine, value)) = e.as_mut().zip(cv.as_ref()) else { return 0 };
        let Some((measured, room)) = engine.measured.take() else { return 0 };
        let Some(template) = value.template().as_ref() else { return 0 };
        if dst.is_null() || !std::ptr::eq(measured, cv) {
            return 0;
        }
        let text = |n| match group(engine, n) {
            Some(range) => strings::raw(engine.subject.add(range.start), range.len()),
            None => &[],
        };
        let mut len = 0;
        template.render_with(text, |piece| {
            let piece = piece.get(..room - len).unwrap_or(piece);
            copy_nonoverlapping(piece.as_ptr(), dst.add(len), piece.len());
            len += piece.len();
        });
        len
    }
}

/// Group `number` of the match that an engine was set to.
///
/// # Safety
/// The expression of `engine` must be null or live.
unsafe fn group(engine: &ScriptEngine, number: usize) -> Option<Range<usize>> {
    if number >= engine.groups {
        return None;
    }
    // SAFETY: the caller promises that the expression is null or has not been freed.
    unsafe { engine.regex.as_ref() }?.group(engine.subject, number)
}

/// The value of `lua_regex_cache_max_entries`; 0 without an `http` block.
#[export]
pub extern "C" fn ngx_http_lua_ffi_max_regex_cache_size() -> u32 {
    let max = MainConf::with_current(MainConf::regex_cache_max_entries).unwrap_or(0);
    u32::try_from(max).unwrap_or(u32::MAX)
}

/// The version of PCRE whose option bits `ngx_http_lua_ffi_compile_regex` takes: a static text.
#[export]
pub extern "C" fn ngx_http_lua_ffi_pcre_version() -> *const c_char {
    Dialect::presented().version().as_ptr()
}

/// Gives JIT-compiled expressions a stack that grows up to `size` bytes (32k at least).
///
/// Returns 0, or -1 with a text in `errstr`, whose length replaces the buffer's in `*errstr_size`.
///
/// # Safety
/// Each pointer must be null or, during the call, valid as described.
#[export]
pub unsafe extern "C" fn ngx_http_lua_ffi_set_jit_stack_size(
    size: c_int,
    errstr: *mut u8,
    errstr_size: *mut usize,
) -> c_int {
    let text = if !pcre2::has_jit() {
        "no pcre jit support found"
    } else if pcre2::set_jit_stack_size(usize::try_from(size).unwrap_or(0)) {
        return ffi::OK;
    } else {
        "pcre jit stack allocation failed"
    };
    // SAFETY: lua-resty-core passes a buffer of its own, and the address of its size.
    unsafe { ffi::write_error(errstr, errstr_size, text) };
    ffi::ERROR
}

//! Describing call frames: tracebacks of coroutines, and the place that a log line comes from.

use std::ffi::{CStr, c_int};

use codec::fallible::{self, Grow, OutOfMemory};
use codec::folded::append_piece;
use mlua::ffi;

use super::state::State;
use crate::nginx::core::log::Line;

/// How many levels of a coroutine a traceback shows.
const TRACEBACK_DEPTH: c_int = 22;

/// Appends one line per call frame of `state`, innermost first.
pub fn describe_frames(state: State, line: &mut Line) {
    // SAFETY: a live coroutine; lua_getstack and lua_getinfo fill the record before it is read,
    // and Lua's strings in it are NUL-terminated.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        let mut level = 0;
        while ffi::lua_getstack(state.as_ptr(), level, &mut frame) > 0 {
            level += 1;
            if level > TRACEBACK_DEPTH {
                line.append(b"\n\t...");
                break;
            }
            ffi::lua_getinfo(state.as_ptr(), c"Snl".as_ptr(), &mut frame);
            describe_frame(&frame, line);
        }
    }
}

/// Appends a line about one call frame.
///
/// # Safety
/// `frame` must be filled by `lua_getinfo`.
unsafe fn describe_frame(frame: &ffi::lua_Debug, line: &mut Line) {
    // SAFETY: the record is filled, the contract of this function; its strings are NUL-terminated.
    unsafe {
        let source = CStr::from_ptr(frame.short_src.as_ptr()).to_bytes();
        line.append(b"\n\t");
        line.append(source);
        line.append(b":");
        if frame.currentline > 0 {
            line.add(format_args!("{}:", frame.currentline));
        }
        if !frame.namewhat.is_null() && *frame.namewhat != 0 {
            line.append(b" in function '");
            line.append(CStr::from_ptr(frame.name).to_bytes());
            line.append(b"'");
            return;
        }
        match *frame.what as u8 {
            b'm' => line.append(b" in main chunk"),
            b'C' | b't' => line.append(b" ?"),
            _ => {
                line.append(b" in function <");
                line.append(source);
                line.add(format_args!(":{}>", frame.linedefined));
            }
        }
    }
}

/// How many frames of a coroutine are folded: the innermost ones.
const FOLDED_DEPTH: c_int = 128;

/// The outermost frame of a coroutine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outermost {
    /// The code of a block in nginx's configuration.
    Block,
    Other,
}

/// Appends the call frames of `state`, outermost first, each behind a semicolon, as `NAME FILE:LINE` of a
/// function's definition. Takes no memory of Lua's, and runs no code, so that it may be called by LuaJIT's profiler.
pub fn fold_frames(state: State, stack: &mut Vec<u8>) -> Result<Outermost, OutOfMemory> {
    // SAFETY: as in `describe_frames`.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        let has = |level, frame: &mut _| ffi::lua_getstack(state.as_ptr(), level, frame) > 0;
        let count = (0..FOLDED_DEPTH).take_while(|level| has(*level, &mut frame)).count();
        let mut outermost = None;
        if has(FOLDED_DEPTH, &mut frame) {
            stack.try_append(b";[...]")?;
            outermost = Some(Outermost::Other);
        }
        for level in (0..FOLDED_DEPTH).take(count).rev() {
            if has(level, &mut frame) {
                ffi::lua_getinfo(state.as_ptr(), c"Sn".as_ptr(), &mut frame);
                stack.try_push(b';')?;
                fold_frame(&frame, stack)?;
                outermost.get_or_insert_with(|| of_frame(&frame));
            }
        }
        Ok(outermost.unwrap_or(Outermost::Other))
    }
}

/// Which kind of outermost frame this one is.
///
/// # Safety
/// As for [`fold_frame`].
unsafe fn of_frame(frame: &ffi::lua_Debug) -> Outermost {
    // SAFETY: the record is filled, the contract of this function.
    let (what, source) = unsafe { (*frame.what as u8, *frame.source as u8) };
    if what == b'm' && source == b'=' { Outermost::Block } else { Outermost::Other }
}

/// Appends a call frame.
///
/// # Safety
/// `frame` must be filled by `lua_getinfo`.
unsafe fn fold_frame(frame: &ffi::lua_Debug, stack: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    // SAFETY: the record is filled, the contract of this function; its strings are NUL-terminated.
    unsafe {
        let has_name = !frame.namewhat.is_null() && *frame.namewhat != 0;
        let name = if has_name { CStr::from_ptr(frame.name).to_bytes() } else { b"function" };
        match *frame.what as u8 {
            b'm' => {}
            b'C' if !has_name => return stack.try_append(b"[C]"),
            _ => {
                append_piece(name, stack)?;
                stack.try_push(b' ')?;
            }
        }
        let source = CStr::from_ptr(frame.source).to_bytes();
        match source.split_first() {
            Some((b'@' | b'=', file)) => append_piece(file, stack)?,
            _ => append_piece(CStr::from_ptr(frame.short_src.as_ptr()).to_bytes(), stack)?,
        }
        if *frame.what as u8 == b'L' {
            let line = frame.linedefined;
            stack.try_append(fallible::format(format_args!(":{line}"))?.as_bytes())?;
        }
    }
    Ok(())
}

/// Appends `FILE:LINE: ` of the Lua code that called the running function, with `NAME(): ` where
/// that is a named Lua function.
pub fn describe_caller(state: State, line: &mut Line) {
    // SAFETY: as in `describe_frames`.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        if ffi::lua_getstack(state.as_ptr(), 1, &mut frame) == 0 {
            line.append(b":-1: ");
            return;
        }
        ffi::lua_getinfo(state.as_ptr(), c"Snl".as_ptr(), &mut frame);
        let source = CStr::from_ptr(frame.short_src.as_ptr()).to_bytes();
        let base = source.rsplit(|&b| b == b'/' || b == b'\\').next().unwrap_or(source);
        let number = if frame.currentline > 0 { frame.currentline } else { frame.linedefined };
        line.append(base);
        line.add(format_args!(":{number}: "));
        if !frame.namewhat.is_null() && *frame.namewhat != 0 && *frame.what as u8 == b'L' {
            line.append(CStr::from_ptr(frame.name).to_bytes());
            line.append(b"(): ");
        }
    }
}

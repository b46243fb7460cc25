//! Describing call frames: tracebacks of coroutines, and the place that a log line comes from.

use std::ffi::{CStr, c_int};

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

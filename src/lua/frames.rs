//! Call frames in words: tracebacks of coroutines, and the place that a log line comes from.

use std::ffi::{CStr, c_int};

use mlua::ffi;

use super::state::State;

/// How many levels of a coroutine a traceback shows.
const TRACEBACK_DEPTH: c_int = 22;

/// Appends one line per call frame of `state`, innermost first.
pub fn describe_frames(state: State, text: &mut Vec<u8>) {
    // SAFETY: a live coroutine; lua_getstack and lua_getinfo fill the record before it is read,
    // and Lua's strings in it are NUL-terminated.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        let mut level = 0;
        while ffi::lua_getstack(state.as_ptr(), level, &mut frame) > 0 {
            level += 1;
            if level > TRACEBACK_DEPTH {
                text.extend_from_slice(b"\n\t...");
                break;
            }
            ffi::lua_getinfo(state.as_ptr(), c"Snl".as_ptr(), &mut frame);
            describe_frame(&frame, text);
        }
    }
}

unsafe fn describe_frame(frame: &ffi::lua_Debug, text: &mut Vec<u8>) {
    // SAFETY: the caller's.
    unsafe {
        let source = CStr::from_ptr(frame.short_src.as_ptr()).to_bytes();
        text.extend_from_slice(b"\n\t");
        text.extend_from_slice(source);
        text.push(b':');
        if frame.currentline > 0 {
            text.extend_from_slice(format!("{}:", frame.currentline).as_bytes());
        }
        if !frame.namewhat.is_null() && *frame.namewhat != 0 {
            text.extend_from_slice(b" in function '");
            text.extend_from_slice(CStr::from_ptr(frame.name).to_bytes());
            text.push(b'\'');
            return;
        }
        match *frame.what as u8 {
            b'm' => text.extend_from_slice(b" in main chunk"),
            b'C' | b't' => text.extend_from_slice(b" ?"),
            _ => {
                text.extend_from_slice(b" in function <");
                text.extend_from_slice(source);
                text.extend_from_slice(format!(":{}>", frame.linedefined).as_bytes());
            }
        }
    }
}

/// Appends `FILE:LINE: ` of the Lua code that called the running function, with `NAME(): ` where
/// that is a named Lua function.
pub fn describe_caller(state: State, text: &mut Vec<u8>) {
    // SAFETY: as in `describe_frames`.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        if ffi::lua_getstack(state.as_ptr(), 1, &mut frame) == 0 {
            text.extend_from_slice(b":-1: ");
            return;
        }
        ffi::lua_getinfo(state.as_ptr(), c"Snl".as_ptr(), &mut frame);
        let source = CStr::from_ptr(frame.short_src.as_ptr()).to_bytes();
        let base = source.rsplit(|&b| b == b'/' || b == b'\\').next().unwrap_or(source);
        let line = if frame.currentline > 0 { frame.currentline } else { frame.linedefined };
        text.extend_from_slice(base);
        text.extend_from_slice(format!(":{line}: ").as_bytes());
        if !frame.namewhat.is_null() && *frame.namewhat != 0 && *frame.what as u8 == b'L' {
            text.extend_from_slice(CStr::from_ptr(frame.name).to_bytes());
            text.extend_from_slice(b"(): ");
        }
    }
}

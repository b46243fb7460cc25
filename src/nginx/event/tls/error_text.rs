//! The system's error texts as static C strings, for callers in C that cannot free them.

use std::ffi::CStr;
use std::sync::{Mutex, PoisonError};

use codec::fallible;

use crate::nginx::event::stream::describe_error;

/// One text for each of the system's error numbers that occurred; they last as long as the process.
static TEXTS: Mutex<Vec<(i32, &'static CStr)>> = Mutex::new(Vec::new());

/// The system's description of an error number, as in [`describe_error`].
pub fn error_text(error: i32) -> &'static CStr {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, text)) = texts.iter().find(|(known, _)| *known == error) {
        return text;
    }
    let Ok(text) = fallible::c_string(describe_error(error).as_bytes()) else { return c"error" };
    let Ok(()) = texts.try_reserve(1) else { return c"error" };
    let text: &'static CStr = Box::leak(text.into_boxed_c_str());
    #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
    texts.push((error, text));
    text
}

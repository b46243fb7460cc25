//! The boundary to PCRE2: safe wrappers over its compiled code and its matching.

mod ffi;

pub use ffi::{Code, CompileError, error_text, has_jit, set_jit_stack_size, version};

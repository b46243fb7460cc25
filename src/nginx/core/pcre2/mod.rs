//! The boundary to PCRE2, which nginx uses too: safe wrappers over its compiled code and its matching.

mod library;

pub use library::{Code, CompileError, error_text, has_jit, set_jit_stack_size, version};

//! nginx's own types and functions: those of the ngx crate, and the headers that build.rs binds
//! beside them.

pub use ngx::ffi::*;

#[allow(non_camel_case_types, non_upper_case_globals, clippy::all, missing_docs, dead_code)]
mod headers {
    use ngx::ffi::*;
    include!(concat!(env!("OUT_DIR"), "/headers.rs"));
}
pub use headers::*;

/// The size of an open file, from what nginx's parser learned when it opened it.
pub fn file_size(file: &ngx_file_t) -> i64 {
    file.info.st_size
}

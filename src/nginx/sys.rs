//! nginx's own types and functions: nginx-sys, and the headers that build.rs binds beside it.

pub use nginx_sys::*;

#[allow(non_camel_case_types, non_upper_case_globals, clippy::all, missing_docs, dead_code)]
mod headers {
    use nginx_sys::*;
    include!(concat!(env!("OUT_DIR"), "/headers.rs"));
}
pub use headers::*;

/// The size of an open file, from what nginx's parser learned when it opened it.
pub fn file_size(file: &ngx_file_t) -> i64 {
    file.info.st_size
}

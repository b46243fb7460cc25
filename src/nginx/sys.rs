//! nginx's own types and functions: those of the ngx crate.

pub use ngx::ffi::*;

/// The size of an open file, from what nginx's parser learned when it opened it.
pub fn file_size(file: &ngx_file_t) -> i64 {
    file.info.st_size
}

//! nginx's own types and functions: those of the crate ngx, and what `sys.h` adds to them.

#[cfg(angie)]
pub use generated::{ANGIE_SIGN, ANGIE_VERSION};
pub use generated::{
    NGX_AGAIN, NGX_ERROR, NGX_OK, NGX_READ_EVENT, NGX_WRITE_EVENT, lua_realip_ctx_t,
    lua_rewrite_conf_t,
};
#[cfg(feature = "ngx")]
pub use ngx::ffi::*;
// What ngx passes on; ngx itself does not compile with Angie's headers.
#[cfg(not(feature = "ngx"))]
pub use nginx_sys::*;

/// Made of `sys.h` by build.rs.
#[allow(dead_code, non_camel_case_types, unused_qualifications)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/nginx.rs"));
}

/// The size of an open file, from what nginx's parser learned when it opened it.
pub fn file_size(file: &ngx_file_t) -> i64 {
    file.info.st_size
}

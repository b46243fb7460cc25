//! The contexts that other modules keep with a detached request. Their cleanups have run, so what they
//! refer to may be gone. nginx's own modules, which nginx's variables read, keep theirs in the pool.

use std::ffi::CStr;
use std::ptr::{addr_of, null_mut};

use crate::nginx::core::module::module;
use crate::nginx::sys::{NGX_HTTP_MODULE, ngx_cycle, ngx_http_request_t};

/// The modules of nginx whose variables are in their contexts.
const KEPT: [&CStr; 9] = [
    c"ngx_http_auth_request_module",
    c"ngx_http_fastcgi_module",
    c"ngx_http_gzip_filter_module",
    c"ngx_http_proxy_module",
    c"ngx_http_realip_module",
    c"ngx_http_secure_link_module",
    c"ngx_http_slice_filter_module",
    c"ngx_http_ssi_filter_module",
    c"ngx_http_userid_filter_module",
];

/// Empties the slots of all others, as nginx does on internal redirects.
///
/// # Safety
/// `r` must be a live request.
pub(super) unsafe fn forget(r: *mut ngx_http_request_t) {
    // SAFETY: a live request, with a slot for each of nginx's http modules, which its list names; the
    // names are C strings.
    unsafe {
        let mut next = (**addr_of!(ngx_cycle)).modules;
        while let Some(other) = (*next).as_ref() {
            next = next.add(1);
            if other.type_ == NGX_HTTP_MODULE as usize
                && other.ctx_index != module().ctx_index
                && !KEPT.contains(&CStr::from_ptr(other.name))
            {
                *(*r).ctx.add(other.ctx_index) = null_mut();
            }
        }
    }
}

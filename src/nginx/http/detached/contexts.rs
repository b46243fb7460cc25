//! The contexts that other modules keep with a detached request. Their cleanups have run, so what
//! they refer to may be gone. nginx's own modules, which nginx's variables read, keep theirs in the
//! pool.

use std::ffi::CStr;
use std::ptr::{addr_of, null_mut};

use super::memory::Moved;
use crate::nginx::core::module::module;
use crate::nginx::sys::{
    NGX_HTTP_MODULE, lua_realip_ctx_t, ngx_connection_t, ngx_cycle, ngx_http_request_t,
};

/// The modules of nginx whose variables are in their contexts.
const KEPT: [&CStr; 9] = [
    c"ngx_http_auth_request_module",
    c"ngx_http_fastcgi_module",
    c"ngx_http_gzip_filter_module",
    c"ngx_http_proxy_module",
    REAL_IP,
    c"ngx_http_secure_link_module",
    c"ngx_http_slice_filter_module",
    c"ngx_http_ssi_filter_module",
    c"ngx_http_userid_filter_module",
];

/// It refers to the address that the client's connection had before, in that connection's memory.
const REAL_IP: &CStr = c"ngx_http_realip_module";

/// Empties the slots of all others, as nginx does on internal redirects. `old` is the connection
/// that the request had, whose memory has been `moved`.
///
/// # Safety
/// `r` must be a live request.
pub(super) unsafe fn forget(r: *mut ngx_http_request_t, old: *mut ngx_connection_t, moved: &Moved) {
    // SAFETY: a live request, with a slot for each of nginx's http modules, which its list names;
    // the names are C strings; the realip module's context begins with the connection.
    unsafe {
        let mut next = (**addr_of!(ngx_cycle)).modules;
        while let Some(other) = (*next).as_ref() {
            next = next.add(1);
            if other.type_ != NGX_HTTP_MODULE as usize || other.ctx_index == module().ctx_index {
                continue;
            }
            let (name, slot) = (CStr::from_ptr(other.name), (*r).ctx.add(other.ctx_index));
            if !KEPT.contains(&name) {
                *slot = null_mut();
            } else if name == REAL_IP
                && let Some(kept) = (*slot).cast::<lua_realip_ctx_t>().as_mut()
                && std::ptr::eq(kept.connection, old.cast())
            {
                kept.sockaddr = moved.place(kept.sockaddr.cast()).cast();
                kept.addr_text.data = moved.place(kept.addr_text.data);
            }
        }
    }
}

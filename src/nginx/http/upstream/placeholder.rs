//! The server of an `upstream` block that has no `server` line, because code names each server.
//! nginx insists on one; no request is ever sent to this one.

use crate::nginx::Status;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::sys::{
    ngx_array_push, ngx_http_upstream_server_t, ngx_http_upstream_srv_conf_t, ngx_parse_url,
    ngx_str_t, ngx_url_t,
};

/// Its name. The address of this text, in memory, tells it from a `server` line that says the same.
static NAME: [u8; 7] = *b"0.0.0.1";

fn name() -> ngx_str_t {
    ngx_str_t { len: NAME.len(), data: NAME.as_ptr().cast_mut() }
}

/// Adds it to a block that has no server so far.
///
/// # Safety
/// `us` must be the configuration of the block that `cf` is reading.
pub(super) unsafe fn add(
    cf: Conf,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> Result<(), OutOfMemory> {
    // SAFETY: the block's array of servers, made before its directives are read; all structures
    // come from the configuration's pool, and zero is valid for them. nginx does not write to a
    // URL that is an address.
    unsafe {
        if (*(*us).servers).nelts != 0 {
            return Ok(());
        }
        let mut url: ngx_url_t = std::mem::zeroed();
        url.url = name();
        url.default_port = 80;
        if ngx_parse_url(cf.get().pool, &mut url) != Status::OK.0 {
            return Err(OutOfMemory);
        }
        let server: *mut ngx_http_upstream_server_t = ngx_array_push((*us).servers).cast();
        let Some(server) = server.as_mut() else { return Err(OutOfMemory) };
        *server = std::mem::zeroed();
        server.name = name();
        server.addrs = url.addrs;
        server.naddrs = url.naddrs;
        server.weight = 1;
        Ok(())
    }
}

/// Takes it out where `server` lines came after it.
///
/// # Safety
/// `us` must be the configuration of a block that has been read.
pub(super) unsafe fn remove_beside_others(us: *mut ngx_http_upstream_srv_conf_t) {
    // SAFETY: the block's array, whose first item there is where it is the placeholder.
    unsafe {
        let servers = (*us).servers;
        if is_first(us) && (*servers).nelts > 1 {
            let first: *mut ngx_http_upstream_server_t = (*servers).elts.cast();
            (*servers).nelts -= 1;
            std::ptr::copy(first.add(1), first, (*servers).nelts);
        }
    }
}

/// Whether the block's first server is the placeholder; once the configuration has been read, it is
/// then the only one.
///
/// # Safety
/// `us` must be the live configuration of a block.
pub(super) unsafe fn is_first(us: *mut ngx_http_upstream_srv_conf_t) -> bool {
    // SAFETY: a block's array of servers lives as long as its configuration.
    unsafe {
        let servers = (*us).servers;
        let first: *const ngx_http_upstream_server_t = (*servers).elts.cast();
        (*servers).nelts > 0 && std::ptr::eq((*first).name.data, NAME.as_ptr())
    }
}

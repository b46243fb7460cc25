//! Connections that nginx itself keeps alive, in blocks whose servers code names.
//!
//! Newer nginxes do so in every `upstream` block. They tell connections apart by the server's
//! address alone: the code would be given connections that come from another local address, or
//! whose server was verified by another name. Hence nginx does so only where the configuration says
//! `keepalive`.

use std::ptr::addr_of_mut;

use crate::nginx::core::conf::CONF_ERROR;
use crate::nginx::core::module::{commands, named};
use crate::nginx::core::strings;
use crate::nginx::sys::{
    NGX_CONF_TAKE2, ngx_array_t, ngx_command_t, ngx_conf_t, ngx_http_upstream_srv_conf_t, ngx_str_t,
};

const fn text(text: &'static [u8]) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

/// `keepalive 0;` in the block, unless it has a `keepalive` of its own.
///
/// `Err` means that nginx refuses it, and has logged why.
///
/// # Safety
/// `cf` must be nginx's parser after it has read the block `us`.
pub(super) unsafe fn turn_off(
    cf: *mut ngx_conf_t,
    us: *mut ngx_http_upstream_srv_conf_t,
) -> Result<(), ()> {
    // SAFETY: a live parser, the contract of this function.
    let Some(module) = (unsafe { named((*cf).cycle, c"ngx_http_upstream_keepalive_module") })
    else {
        return Ok(());
    };
    // An nginx whose directive takes `local` has it on by default; any other one takes no 0.
    let is_default = |directive: &&ngx_command_t| {
        // SAFETY: a directive's name is a static string.
        let name = unsafe { strings::bytes(directive.name) };
        name == b"keepalive" && directive.type_ & NGX_CONF_TAKE2 as usize != 0
    };
    let directive = commands(module).find(is_default);
    let Some((directive, set)) = directive.and_then(|found| Some((found, found.set?))) else {
        return Ok(());
    };
    let mut words = [text(b"keepalive"), text(b"0")];
    // SAFETY: the directive's handler reads its words during the call, and writes to the block's
    // own structure of its module.
    unsafe {
        let mut arguments = ngx_array_t {
            elts: words.as_mut_ptr().cast(),
            nelts: words.len(),
            size: size_of::<ngx_str_t>(),
            nalloc: words.len(),
            pool: (*cf).pool,
        };
        let before = std::mem::replace(&mut (*cf).args, addr_of_mut!(arguments));
        let conf = *(*us).srv_conf.add(module.ctx_index);
        let outcome = set(cf, std::ptr::from_ref(directive).cast_mut(), conf);
        (*cf).args = before;
        // Any other text says that the directive is there already.
        if outcome == CONF_ERROR { Err(()) } else { Ok(()) }
    }
}

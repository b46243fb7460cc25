//! nginx's table of a module's directives (`ngx_command_t`), made from rows of this module's own.

use std::ffi::{CStr, c_char, c_void};

use export::callback;

use crate::nginx::core::conf::{CONF_ERROR, Conf, ConfResult, to_nginx};
use crate::nginx::http::configuration::Scope;
use crate::nginx::sys::{
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF_OFFSET, ngx_command_t,
    ngx_conf_t, ngx_str_t,
};

/// Where a directive may stand, and what it takes: nginx's bits.
pub mod bits {
    pub use crate::nginx::sys::{
        NGX_CONF_1MORE, NGX_CONF_2MORE, NGX_CONF_BLOCK, NGX_CONF_FLAG, NGX_CONF_NOARGS,
        NGX_CONF_TAKE1, NGX_CONF_TAKE2, NGX_HTTP_LIF_CONF, NGX_HTTP_LOC_CONF, NGX_HTTP_MAIN_CONF,
        NGX_HTTP_SIF_CONF, NGX_HTTP_SRV_CONF, NGX_HTTP_UPS_CONF,
    };
}

/// A directive of this module.
pub trait Directive: Sync + 'static {
    /// Called when nginx's parser has read the directive's words.
    fn set(&self, cf: Conf) -> ConfResult;
}

/// A directive in nginx's form: its name, `kind` ([`bits`]), and the scope of what it sets.
pub const fn command<D: Directive>(
    name: &'static CStr,
    kind: u32,
    scope: Scope,
    row: &'static D,
) -> ngx_command_t {
    let name = name.to_bytes();
    ngx_command_t {
        name: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
        type_: kind as usize,
        set: Some(set::<D>),
        conf: match scope {
            Scope::Main => NGX_HTTP_MAIN_CONF_OFFSET,
            Scope::Server => NGX_HTTP_SRV_CONF_OFFSET,
            Scope::Location => NGX_HTTP_LOC_CONF_OFFSET,
        },
        offset: 0,
        post: std::ptr::from_ref(row).cast_mut().cast(),
    }
}

/// `N` commands, the last of which is the empty one that ends the table.
#[repr(transparent)]
pub struct Commands<const N: usize>([ngx_command_t; N]);

// SAFETY: nginx only reads the commands; all their pointers are to statics.
unsafe impl<const N: usize> Sync for Commands<N> {}

impl<const N: usize> Commands<N> {
    /// A table of empty commands.
    pub const fn empty() -> Commands<N> {
        Commands([const { ngx_command_t::empty() }; N])
    }

    /// The same table with `command` at `index`.
    pub const fn with(mut self, index: usize, command: ngx_command_t) -> Commands<N> {
        self.0[index] = command;
        self
    }

    pub const fn as_ptr(&'static self) -> *mut ngx_command_t {
        self.0.as_ptr().cast_mut()
    }
}

/// What nginx calls for each of this module's directives.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(CONF_ERROR)]
unsafe extern "C" fn set<D: Directive>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    _conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes its parser, and a command that `command` made of a `D`.
    unsafe {
        let Some(cf) = Conf::from_ptr(cf) else { return CONF_ERROR };
        let row = &*(*command).post.cast::<D>();
        to_nginx(row.set(cf))
    }
}

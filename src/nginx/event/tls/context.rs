//! The context (`SSL_CTX`) that outgoing connections share, as nginx makes it.

use std::cell::UnsafeCell;
use std::ffi::c_long;
use std::ptr::null_mut;

use codec::fallible::Grow;

use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::pool::Pool;
use crate::nginx::sys::{
    SSL_CTRL_MODE, SSL_CTX_ctrl, SSL_CTX_set_cipher_list, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
    ngx_array_t, ngx_int_t, ngx_keyval_t, ngx_ssl_cleanup_ctx, ngx_ssl_conf_commands,
    ngx_ssl_create, ngx_ssl_crl, ngx_ssl_error, ngx_ssl_t, ngx_ssl_trusted_certificate,
};

/// The settings of a context.
pub struct Settings<'a> {
    /// nginx's bits of the protocols' versions.
    pub protocols: usize,
    pub ciphers: &'a [u8],
    pub verify_depth: usize,
    /// Files; empty for none.
    pub trusted_certificate: &'a [u8],
    pub crl: &'a [u8],
    /// Names and values for OpenSSL's own configuration.
    pub commands: &'a [(Vec<u8>, Vec<u8>)],
}

/// A context. A connection takes a reference to the `SSL_CTX` in it.
pub struct Context(Box<UnsafeCell<ngx_ssl_t>>);

impl Context {
    /// A context with these settings; what is wrong with them is logged at `[emerg]`.
    pub fn new(cf: Conf, settings: &Settings) -> Result<Context, ConfError> {
        // SAFETY: all zero is what nginx expects before it creates one.
        let ssl = Box::new(UnsafeCell::new(unsafe { std::mem::zeroed::<ngx_ssl_t>() }));
        // SAFETY: ours; the parser's log outlives the configuration.
        unsafe { (*ssl.get()).log = cf.parser_log().as_ptr() };
        // SAFETY: as above. nginx cleans up itself what it could not finish.
        done(unsafe { ngx_ssl_create(ssl.get(), settings.protocols, null_mut()) })?;
        let context = Context(ssl);
        context.accept_moved_buffers();
        context.set_ciphers(cf, settings.ciphers)?;
        context.trust(cf, settings)?;
        context.command(cf, settings.commands)?;
        Ok(context)
    }

    pub(super) fn as_ptr(&self) -> *mut ngx_ssl_t {
        self.0.get()
    }

    /// Lets a write be continued from another buffer: after waiting, the rest comes from a copy of
    /// the first one.
    fn accept_moved_buffers(&self) {
        let mode = c_long::from(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        // SAFETY: the live context; `SSL_CTX_set_mode`.
        unsafe { SSL_CTX_ctrl((*self.as_ptr()).ctx, SSL_CTRL_MODE as i32, mode, null_mut()) };
    }

    fn set_ciphers(&self, cf: Conf, ciphers: &[u8]) -> ConfResult {
        let mut text = cf.pool()?.copy_str(ciphers)?;
        // SAFETY: the live context, and a text that ends in a NUL; "%V" takes a pointer to it.
        unsafe {
            if SSL_CTX_set_cipher_list((*self.as_ptr()).ctx, text.data.cast()) != 0 {
                return Ok(());
            }
            ngx_ssl_error(
                Level::Emerg as usize,
                cf.parser_log().as_ptr(),
                0,
                c"SSL_CTX_set_cipher_list(\"%V\") failed".as_ptr().cast_mut(),
                &raw mut text,
            );
        }
        Err(ConfError::Logged)
    }

    fn trust(&self, cf: Conf, settings: &Settings) -> ConfResult {
        let pool = cf.pool()?;
        let mut crl = pool.copy_str(settings.crl)?;
        // SAFETY: the live parser and context; the names are in the cycle's pool, where nginx puts
        // the absolute ones too.
        unsafe {
            if !settings.trusted_certificate.is_empty() {
                let mut certificate = pool.copy_str(settings.trusted_certificate)?;
                let depth = settings.verify_depth as ngx_int_t;
                let ssl = self.as_ptr();
                done(ngx_ssl_trusted_certificate(cf.as_ptr(), ssl, &mut certificate, depth))?;
            }
            done(ngx_ssl_crl(cf.as_ptr(), self.as_ptr(), &mut crl))
        }
    }

    fn command(&self, cf: Conf, commands: &[(Vec<u8>, Vec<u8>)]) -> ConfResult {
        if commands.is_empty() {
            return Ok(());
        }
        let pool = cf.pool()?;
        let mut pairs = Vec::new();
        for (key, value) in commands {
            let (key, value) = (pool.copy_str(key)?, pool.copy_str(value)?);
            pairs.try_push(ngx_keyval_t { key, value })?;
        }
        let mut array = array_over(&mut pairs, pool);
        // SAFETY: nginx reads the array during the call; the texts end in a NUL.
        done(unsafe { ngx_ssl_conf_commands(cf.as_ptr(), self.as_ptr(), &mut array) })
    }
}

fn array_over(pairs: &mut [ngx_keyval_t], pool: Pool) -> ngx_array_t {
    ngx_array_t {
        elts: pairs.as_mut_ptr().cast(),
        nelts: pairs.len(),
        size: size_of::<ngx_keyval_t>(),
        nalloc: pairs.len(),
        pool: pool.as_ptr(),
    }
}

/// nginx has logged what went wrong.
fn done(rc: ngx_int_t) -> ConfResult {
    if rc == 0 { Ok(()) } else { Err(ConfError::Logged) }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once.
        unsafe { ngx_ssl_cleanup_ctx(self.as_ptr().cast()) }
    }
}

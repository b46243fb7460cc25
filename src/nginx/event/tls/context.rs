//! The context (`SSL_CTX`) that outgoing connections share, as nginx makes it.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_long};
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;

use codec::fallible::{self, Grow};

use super::clear_errors;
use super::key_log::KeyLog;
use super::protocols::FORBIDDING;
use super::system_store::SystemStore;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::core::strings;
use crate::nginx::sys::{
    SSL_CTRL_MODE, SSL_CTX_clear_options, SSL_CTX_ctrl, SSL_CTX_get0_certificate,
    SSL_CTX_set_cipher_list, SSL_CTX_set_default_verify_paths, SSL_CTX_set_options,
    SSL_CTX_set_verify_depth, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, ngx_array_t, ngx_int_t,
    ngx_keyval_t, ngx_ssl_certificates, ngx_ssl_cleanup_ctx, ngx_ssl_conf_commands, ngx_ssl_create,
    ngx_ssl_crl, ngx_ssl_error, ngx_ssl_t, ngx_ssl_trusted_certificate, ngx_str_t,
};

/// The settings of a context.
pub struct Settings<'a> {
    /// nginx's bits of the protocols' versions.
    pub protocols: usize,
    pub ciphers: &'a [u8],
    /// How long a chain may be. Where it is not said, 1; with the system's authorities, OpenSSL's
    /// own limit.
    pub verify_depth: Option<usize>,
    pub authorities: Authorities<'a>,
    /// A file; empty for none.
    pub crl: &'a [u8],
    /// Files: certificates to show to a server that asks, and the key of each.
    pub certificates: &'a [Vec<u8>],
    pub certificate_keys: &'a [Vec<u8>],
    /// A file for the secrets of all connections; empty for none.
    pub key_log: &'a [u8],
    /// Names and values for OpenSSL's own configuration.
    pub commands: &'a [(Vec<u8>, Vec<u8>)],
}

/// Whom connections trust.
pub enum Authorities<'a> {
    /// Those in a file.
    File(&'a [u8]),
    /// The system's.
    System(Rc<SystemStore>),
}

/// A context. A connection takes a reference to the `SSL_CTX` in it.
pub struct Context {
    ssl: Box<UnsafeCell<ngx_ssl_t>>,
    key_log: Option<KeyLog>,
    /// Whom connections trust that verify the server; `None` if the `SSL_CTX` says it.
    store: Option<Rc<SystemStore>>,
}

impl Context {
    /// A context with these settings; what is wrong with them is logged at `[emerg]`.
    pub fn new(cf: Conf, settings: &Settings) -> Result<Context, ConfError> {
        // SAFETY: all zero is what nginx expects before it creates one.
        let ssl = Box::new(UnsafeCell::new(unsafe { std::mem::zeroed::<ngx_ssl_t>() }));
        // SAFETY: nobody else has the structure yet. nginx only logs to its log while it reads the
        // configuration, and the parser's log lives until then.
        unsafe { (*ssl.get()).log = cf.parser_log().as_ptr() };
        // SAFETY: as above. nginx cleans up itself what it could not finish.
        done(unsafe { ngx_ssl_create(ssl.get(), settings.protocols, null_mut()) })?;
        let mut context = Context { ssl, key_log: None, store: None };
        context.accept_moved_buffers();
        context.set_ciphers(cf, settings.ciphers)?;
        context.show(cf, settings)?;
        context.trust(cf, settings)?;
        if !settings.key_log.is_empty() {
            context.log_keys(cf, settings.key_log)?;
        }
        context.command(cf, settings.commands)?;
        Ok(context)
    }

    pub(super) fn as_ptr(&self) -> *mut ngx_ssl_t {
        self.ssl.get()
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

    fn log_keys(&mut self, cf: Conf, name: &[u8]) -> ConfResult {
        let name = cf.full_name(name, true)?;
        // SAFETY: the live context, which `drop` frees after the key log. The name is in the
        // cycle's pool.
        self.key_log = unsafe {
            let context = NonNull::new((*self.as_ptr()).ctx).ok_or(OutOfMemory)?;
            Some(KeyLog::new(context, cf, strings::bytes(name))?)
        };
        Ok(())
    }

    /// Whether there are certificates to show.
    pub fn has_certificates(&self) -> bool {
        // SAFETY: the live context.
        unsafe { !SSL_CTX_get0_certificate((*self.as_ptr()).ctx).is_null() }
    }

    fn show(&self, cf: Conf, settings: &Settings) -> ConfResult {
        let Some(last) = settings.certificates.last() else { return Ok(()) };
        if settings.certificate_keys.len() < settings.certificates.len() {
            let text: [&[u8]; 3] =
                [b"no \"lua_ssl_certificate_key\" is defined for certificate \"", last, b"\""];
            return Err(cf.refuse_plainly(&fallible::concat(&text)?));
        }
        let pool = cf.pool()?;
        let mut certificates = names(settings.certificates, pool)?;
        let mut keys = names(settings.certificate_keys, pool)?;
        let mut certificates = array_over(&mut certificates, pool);
        let mut keys = array_over(&mut keys, pool);
        // SAFETY: nginx reads the arrays during the call, and keeps the names, which are in the
        // cycle's pool; no passwords.
        done(unsafe {
            ngx_ssl_certificates(
                cf.as_ptr(),
                self.as_ptr(),
                &mut certificates,
                &mut keys,
                null_mut(),
            )
        })
    }

    fn trust(&mut self, cf: Conf, settings: &Settings) -> ConfResult {
        let ssl = self.as_ptr();
        match &settings.authorities {
            Authorities::File(name) => {
                let mut certificate = cf.pool()?.copy_str(name)?;
                let depth = settings.verify_depth.unwrap_or(1) as ngx_int_t;
                // SAFETY: the live parser and context; the name is in the cycle's pool, where nginx
                // puts the absolute one too.
                done(unsafe {
                    ngx_ssl_trusted_certificate(cf.as_ptr(), ssl, &mut certificate, depth)
                })?;
            }
            Authorities::System(store) => self.trust_system(settings, store),
        }
        let mut crl = cf.pool()?.copy_str(settings.crl)?;
        // SAFETY: as above.
        done(unsafe { ngx_ssl_crl(cf.as_ptr(), ssl, &mut crl) })
    }

    /// The store is shared, and only used by connections that verify the server: the others need not
    /// look for authorities. A list of revoked certificates needs a store of its own.
    fn trust_system(&mut self, settings: &Settings, store: &Rc<SystemStore>) {
        // SAFETY: the live context.
        unsafe {
            let context = (*self.as_ptr()).ctx;
            if let Some(depth) = settings.verify_depth {
                SSL_CTX_set_verify_depth(context, c_int::try_from(depth).unwrap_or(c_int::MAX));
            }
            if settings.crl.is_empty() {
                self.store = Some(store.clone());
            } else if SSL_CTX_set_default_verify_paths(context) == 0 {
                clear_errors();
            }
        }
    }

    /// Whom connections trust that verify the server, unless the `SSL_CTX` says it.
    pub fn store(&self) -> Option<&SystemStore> {
        self.store.as_deref()
    }

    /// Has connections use the protocols with these bits of nginx's, as far as `commands` leave that
    /// to them.
    pub fn set_protocols(
        &self,
        cf: Conf,
        bits: u32,
        commands: &[(Vec<u8>, Vec<u8>)],
    ) -> ConfResult {
        for (protocol, forbidden) in FORBIDDING {
            // SAFETY: the live context.
            unsafe {
                let context = (*self.as_ptr()).ctx;
                if bits & protocol == 0 {
                    SSL_CTX_set_options(context, forbidden);
                } else {
                    SSL_CTX_clear_options(context, forbidden);
                }
            }
        }
        self.command(cf, commands)
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

/// Copies of the names, in the pool.
fn names(names: &[Vec<u8>], pool: Pool) -> Result<Vec<ngx_str_t>, ConfError> {
    let mut copies = Vec::new();
    for name in names {
        copies.try_push(pool.copy_str(name)?)?;
    }
    Ok(copies)
}

fn array_over<T>(items: &mut [T], pool: Pool) -> ngx_array_t {
    ngx_array_t {
        elts: items.as_mut_ptr().cast(),
        nelts: items.len(),
        size: size_of::<T>(),
        nalloc: items.len(),
        pool: pool.as_ptr(),
    }
}

/// nginx has logged what went wrong.
fn done(rc: ngx_int_t) -> ConfResult {
    if rc == 0 { Ok(()) } else { Err(ConfError::Logged) }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.key_log = None;
        // SAFETY: ours, and freed once.
        unsafe { ngx_ssl_cleanup_ctx(self.as_ptr().cast()) }
    }
}

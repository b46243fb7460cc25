//! The values of a location's directives, as written and in force.

use std::cell::{OnceCell, RefCell};
use std::ops::Deref;
#[cfg(ngx_feature = "http_ssl")]
use std::rc::Rc;

use super::Phase;
use super::code::{Scripts, SharedScript};
use super::log_level::LogLevels;
#[cfg(ngx_feature = "http_ssl")]
use super::tls::Tls;
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::core::log::Level;
use crate::nginx::core::worker;
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::event::tls::Context;
use crate::nginx::http::configuration::Configured;

/// One location's configuration. nginx keeps it in the cycle's pool.
#[derive(Default)]
pub struct LocationConf {
    /// As written in this block.
    pub written: RefCell<Location>,
    /// With the inherited values; set when nginx merges, or at first use if it never does.
    merged: OnceCell<Location>,
    /// The context of TLS connections from this location; made when nginx merges.
    #[cfg(ngx_feature = "http_ssl")]
    tls_context: OnceCell<Rc<Context>>,
}

/// What becomes of code once it has been loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CodeCache {
    /// It is loaded anew for each request, which has a VM of its own.
    Off,
    On,
    /// It is kept until its file changes.
    Stat,
}

/// The values; `None` if not set.
#[derive(Clone, Default)]
pub struct Location {
    pub code_cache: Option<CodeCache>,
    pub need_request_body: Option<bool>,
    pub transform_underscores: Option<bool>,
    pub socket_log_errors: Option<bool>,
    pub http10_buffering: Option<bool>,
    pub coalesce_output: Option<bool>,
    pub check_client_abort: Option<bool>,
    pub use_default_type: Option<bool>,
    pub ctx_inherit: Option<bool>,
    pub log_levels: LogLevels,
    pub socket_keepalive_timeout: Option<usize>,
    pub socket_connect_timeout: Option<usize>,
    pub socket_send_timeout: Option<usize>,
    pub socket_read_timeout: Option<usize>,
    pub socket_send_lowat: Option<usize>,
    pub socket_buffer_size: Option<usize>,
    pub socket_pool_size: Option<usize>,
    /// Whether OpenSSL's own look at a server's certificate is left out.
    #[cfg(ngx_feature = "http_ssl")]
    pub skip_default_verify: Option<bool>,
    pub scripts: Scripts,
    #[cfg(ngx_feature = "http_ssl")]
    pub tls: Tls,
}

impl Location {
    /// These values; those that are not set are taken from `outer`.
    fn over(&self, outer: &Location) -> Location {
        macro_rules! merge {
            ($($field:ident)*) => {
                Location {
                    $($field: self.$field.clone().or_else(|| outer.$field.clone()),)*
                    log_levels: self.log_levels.over(outer.log_levels),
                    scripts: self.scripts.over(&outer.scripts),
                    #[cfg(ngx_feature = "http_ssl")]
                    skip_default_verify: self.skip_default_verify.or(outer.skip_default_verify),
                    #[cfg(ngx_feature = "http_ssl")]
                    tls: self.tls.over(&outer.tls),
                }
            };
        }
        merge! {
            code_cache need_request_body transform_underscores socket_log_errors
            http10_buffering coalesce_output check_client_abort use_default_type ctx_inherit
            socket_keepalive_timeout socket_connect_timeout socket_send_timeout
            socket_read_timeout socket_send_lowat socket_buffer_size socket_pool_size
        }
    }
}

impl LocationConf {
    /// The configuration of the location that `place` is in: of a request, of the block that is
    /// being read, and so on.
    #[inline(always)]
    pub fn of(place: &impl Configured) -> &LocationConf {
        place.structure()
    }

    /// Inherits from `outer` what is not set here.
    pub fn inherit(&self, outer: &LocationConf) {
        let merged = self.written.borrow().over(outer);
        // Merged once per block; a second time would give the same result.
        let _ = self.merged.set(merged);
    }

    /// Sets the TLS context: that of `outer`, unless this block has TLS directives of its own.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn inherit_tls(&self, cf: Conf, outer: &LocationConf) -> ConfResult {
        if self.written.borrow().tls != Tls::default() {
            return self.make_tls(cf);
        }
        outer.make_tls(cf)?;
        if let Some(context) = outer.tls_context.get() {
            let _ = self.tls_context.set(context.clone());
        }
        Ok(())
    }

    /// Makes a TLS context of its own from the values in force.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn make_tls(&self, cf: Conf) -> ConfResult {
        if self.tls_context.get().is_none() {
            let _ = self.tls_context.set(self.tls.make_context(cf)?);
        }
        Ok(())
    }

    /// The context of TLS connections from this location.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn tls_context(&self) -> Option<&Context> {
        self.tls_context.get().map(Rc::as_ref)
    }
}

/// The values in force.
impl Deref for LocationConf {
    type Target = Location;

    #[inline(always)]
    fn deref(&self) -> &Location {
        self.merged.get_or_init(|| self.written.borrow().clone())
    }
}

impl Location {
    /// The code of `phase`.
    #[inline(always)]
    pub fn script(&self, phase: Phase) -> Option<&SharedScript> {
        self.scripts.get(phase)
    }

    #[cfg(ngx_feature = "http_ssl")]
    pub fn skip_default_verify(&self) -> bool {
        self.skip_default_verify.unwrap_or(false)
    }

    /// Whether requests run in the worker's VM.
    pub fn code_cache(&self) -> bool {
        self.code_cache != Some(CodeCache::Off)
    }

    /// Whether a request looks for code that has changed.
    pub fn looks_for_changes(&self) -> bool {
        self.code_cache == Some(CodeCache::Stat)
    }

    pub fn need_request_body(&self) -> bool {
        self.need_request_body.unwrap_or(false)
    }

    pub fn transform_underscores(&self) -> bool {
        self.transform_underscores.unwrap_or(true)
    }

    pub fn socket_log_errors(&self) -> bool {
        self.socket_log_errors.unwrap_or(true)
    }

    /// The level at which time-outs of cosockets are logged.
    pub fn timeout_level(&self) -> Level {
        self.log_levels.timeout.unwrap_or(Level::Err)
    }

    /// The level at which clients are logged that leave, or take no output.
    pub fn abort_level(&self) -> Level {
        self.log_levels.abort.unwrap_or(Level::Info)
    }

    pub fn http10_buffering(&self) -> bool {
        self.http10_buffering.unwrap_or(true)
    }

    pub fn coalesce_output(&self) -> bool {
        self.coalesce_output.unwrap_or(false)
    }

    pub fn check_client_abort(&self) -> bool {
        self.check_client_abort.unwrap_or(false)
    }

    pub fn use_default_type(&self) -> bool {
        self.use_default_type.unwrap_or(true)
    }

    pub fn ctx_inherit(&self) -> bool {
        self.ctx_inherit.unwrap_or(false)
    }

    /// In milliseconds, as are the other times.
    pub fn socket_connect_timeout(&self) -> usize {
        self.socket_connect_timeout.unwrap_or(60_000)
    }

    pub fn socket_send_timeout(&self) -> usize {
        self.socket_send_timeout.unwrap_or(60_000)
    }

    pub fn socket_read_timeout(&self) -> usize {
        self.socket_read_timeout.unwrap_or(60_000)
    }

    pub fn socket_keepalive_timeout(&self) -> usize {
        self.socket_keepalive_timeout.unwrap_or(60_000)
    }

    /// In bytes.
    pub fn socket_send_lowat(&self) -> usize {
        self.socket_send_lowat.unwrap_or(0)
    }

    /// In bytes; a page of memory by default.
    pub fn socket_buffer_size(&self) -> usize {
        self.socket_buffer_size.unwrap_or_else(worker::page_size).max(1)
    }

    pub fn socket_pool_size(&self) -> i64 {
        self.socket_pool_size.map_or(30, |size| size as i64)
    }
}

//! What the configuration parser does within the `http` block: locations as nginx's own module configures them.

use std::ffi::c_void;
use std::ptr::{addr_of, null_mut};

use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::http::callback::RequestHandler;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::sys::{
    ngx_http_conf_ctx_t, ngx_http_core_module, ngx_http_max_module, ngx_http_module_t, ngx_log_t,
};

impl Conf {
    /// The configuration for code that runs without a request: that of a location without
    /// directives of its own, merged from the `http` block. Call it only at the end of that block.
    pub fn hook_configuration(self) -> Result<Configuration, ConfError> {
        // SAFETY: a number that nginx sets before it reads a configuration.
        let slots = unsafe { *addr_of!(ngx_http_max_module) };
        let size = slots * size_of::<*mut c_void>();
        let pool = self.pool()?;
        // SAFETY: nginx's own module and its own functions, called as nginx calls them when it
        // merges a location; the arrays have a slot for each module.
        unsafe {
            let core = &*addr_of!(ngx_http_core_module);
            let functions = &*core.ctx.cast::<ngx_http_module_t>();
            let (Some(create), Some(merge)) = (functions.create_loc_conf, functions.merge_loc_conf)
            else {
                return Err(ConfError::Logged);
            };
            let http = &*self.get().ctx.cast::<ngx_http_conf_ctx_t>();
            let outer = *http.loc_conf.add(core.ctx_index);
            let merged = create(self.as_ptr());
            if merged.is_null() || !merge(self.as_ptr(), outer, merged).is_null() {
                return Err(ConfError::Logged);
            }
            let location: *mut *mut c_void = pool.bytes_aligned(size)?.as_ptr().cast();
            std::ptr::copy_nonoverlapping(http.loc_conf, location, slots);
            *location.add(core.ctx_index) = merged;
            Ok(Configuration::under(self).with_location(location))
        }
    }

    /// The error log of the location that is being merged; null if it is the cycle's own, which is
    /// complete only when the whole configuration has been read.
    pub fn location_error_log(self) -> *mut ngx_log_t {
        // SAFETY: nginx has made its core module's configuration of the location, and merges it,
        // with the log, before this module's.
        unsafe {
            let log = (*Configuration::under(self).core_location()).error_log;
            let of_cycle = self.cycle().new_log();
            if log == of_cycle { null_mut() } else { log }
        }
    }

    /// Makes `handler` the content handler of the location that is being read.
    pub fn set_content_handler(self, handler: RequestHandler) {
        // SAFETY: nginx makes its core module's configuration of a location before it reads the
        // directives in it.
        unsafe { (*Configuration::under(self).core_location()).handler = Some(handler.0) }
    }
}

//! Strings of the configuration that may hold nginx variables.

use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings::PoolStr;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_http_compile_complex_value, ngx_http_compile_complex_value_t, ngx_http_complex_value,
    ngx_http_complex_value_t, ngx_str_t,
};

/// A compiled string; it lives in the configuration's pool.
pub struct ComplexValue(*mut ngx_http_complex_value_t);

impl ComplexValue {
    /// Compiles `text`. `Err` if nginx refuses it, which nginx has logged, or if there is no
    /// memory.
    pub fn compile(conf: Conf, text: &[u8]) -> Result<ComplexValue, OutOfMemory> {
        let pool = conf.pool()?;
        let mut text = pool.copy_str(text)?;
        // SAFETY: a live parser, structures in its pool; zero is valid for both.
        unsafe {
            let value = pool.zeroed::<ngx_http_complex_value_t>()?;
            let mut compile: ngx_http_compile_complex_value_t = std::mem::zeroed();
            compile.cf = conf.as_ptr();
            compile.value = &mut text;
            compile.complex_value = value.as_ptr();
            match ngx_http_compile_complex_value(&mut compile) {
                0 => Ok(ComplexValue(value.as_ptr())),
                _ => Err(OutOfMemory),
            }
        }
    }

    /// Whether it is the same for every request.
    pub fn is_constant(&self) -> bool {
        // SAFETY: the value lives as long as the configuration.
        unsafe { (*self.0).lengths.is_null() }
    }

    /// The string for a request; `None` without memory.
    pub fn evaluate(&self, request: Request) -> Option<PoolStr> {
        let mut text = ngx_str_t::empty();
        // SAFETY: a live request; the value lives as long as the configuration.
        unsafe {
            match ngx_http_complex_value(request.as_ptr(), self.0, &mut text) {
                0 => Some(PoolStr::new(text)),
                _ => None,
            }
        }
    }
}

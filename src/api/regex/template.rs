//! The replacement of `ngx.re.sub` and `ngx.re.gsub` as lua-resty-core sees it.

use std::ffi::c_void;
use std::ptr::null;

use codec::fallible;
use codec::template::{Template, TemplateError};

use super::compiled::Regex;
use crate::nginx::core::strings::View;

/// `ngx_http_lua_complex_value_t`: a constant text, unless `lengths` is set.
#[repr(C)]
pub struct ReplaceValue {
    value: View,
    lengths: *const c_void,
    values: *const c_void,
}

/// A parsed replacement, with the view of it that Lua reads.
///
/// It is never moved out of its box, because the view points into it.
pub struct Replacement {
    view: ReplaceValue,
    source: Vec<u8>,
    pub template: Template,
}

impl Replacement {
    /// Parses the text of a replacement, and keeps a copy of it.
    pub fn parse(source: &[u8]) -> Result<Box<Replacement>, TemplateError> {
        let template = Template::parse(source)?;
        let view = ReplaceValue { value: View::of(&[]), lengths: null(), values: null() };
        let mut replacement =
            Box::new(Replacement { view, source: fallible::copy(source)?, template });
        replacement.view.value = View::of(&replacement.source);
        if !replacement.template.is_literal() {
            let template: *const Template = &replacement.template;
            replacement.view.lengths = template.cast();
            replacement.view.values = template.cast();
        }
        Ok(replacement)
    }

    /// The view. It is valid for as long as the box of this value.
    pub fn complex_value(&self) -> *const ReplaceValue {
        &self.view
    }
}

impl ReplaceValue {
    /// The template behind a value that is not a constant text; null for one that is.
    pub fn template(&self) -> *const Template {
        self.values.cast()
    }
}

/// `ngx_http_lua_script_engine_t`: the match that replacements are rendered for.
pub struct ScriptEngine {
    pub subject: *const u8,
    pub regex: *const Regex,
    /// How many groups of the match count, the whole one included.
    pub groups: usize,
    /// The replacement whose length was asked for last, with that length; it is rendered once.
    pub measured: Option<(*const ReplaceValue, usize)>,
}

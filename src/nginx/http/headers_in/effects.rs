//! Updating what nginx has derived from a request header, when the header changes.

use super::known::RequestHeaderKind;
use crate::nginx::core::strings;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::headers::error::HeaderError;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_CONNECTION_CLOSE, NGX_HTTP_CONNECTION_KEEP_ALIVE, ngx_http_core_main_conf_t,
    ngx_http_variable_t, ngx_str_t,
};

/// What must change in nginx's structures; made before anything is changed.
pub(super) enum Effect {
    None,
    /// The server's name, in the request's pool; empty if the header is removed.
    Host(ngx_str_t),
    Connection(u32),
    UserAgent(codec::user_agent::Browser),
    /// -1 if the header is removed.
    ContentLength(i64),
}

/// The effect of setting a header of this kind to `value` (empty: of removing it).
pub(super) fn of(
    request: Request,
    kind: RequestHeaderKind,
    value: &[u8],
) -> Result<Effect, HeaderError> {
    Ok(match kind {
        RequestHeaderKind::Plain | RequestHeaderKind::Values => Effect::None,
        RequestHeaderKind::Host if value.is_empty() => Effect::Host(ngx_str_t::empty()),
        RequestHeaderKind::Host => {
            let host = codec::headers::host_name(value)?.ok_or(HeaderError::BadValue)?;
            Effect::Host(request.pool().copy_str(&host)?)
        }
        RequestHeaderKind::Connection => Effect::Connection(connection_type(value)),
        RequestHeaderKind::UserAgent => Effect::UserAgent(codec::user_agent::browser(value)),
        RequestHeaderKind::ContentLength if value.is_empty() => Effect::ContentLength(-1),
        RequestHeaderKind::ContentLength => {
            let length = codec::headers::content_length(value);
            Effect::ContentLength(length.ok_or(HeaderError::BadValue)?)
        }
    })
}

fn connection_type(value: &[u8]) -> u32 {
    if codec::headers::contains_ignore_case(value, b"close") {
        NGX_HTTP_CONNECTION_CLOSE
    } else if codec::headers::contains_ignore_case(value, b"keep-alive") {
        NGX_HTTP_CONNECTION_KEEP_ALIVE
    } else {
        0
    }
}

impl Effect {
    pub fn apply(self, request: Request) {
        // SAFETY: plain fields of a live request; strings are in its pool.
        let headers = unsafe { &mut (*request.as_ptr()).headers_in };
        match self {
            Effect::None => {}
            Effect::Host(name) => {
                headers.server = name;
                forget_variable(request, b"host");
            }
            Effect::Connection(kind) => {
                headers.set_connection_type(kind);
                if kind == NGX_HTTP_CONNECTION_CLOSE {
                    headers.keep_alive_n = -1;
                }
            }
            Effect::UserAgent(browser) => {
                headers.set_msie(browser.msie.into());
                headers.set_msie6(browser.msie6.into());
                headers.set_opera(browser.opera.into());
                headers.set_gecko(browser.gecko.into());
                headers.set_chrome(browser.chrome.into());
                headers.set_safari(browser.safari.into());
                headers.set_konqueror(browser.konqueror.into());
            }
            Effect::ContentLength(length) => headers.content_length_n = length,
        }
    }
}

/// Makes nginx compute an indexed variable anew when it is read next.
fn forget_variable(request: Request, name: &[u8]) {
    // SAFETY: the core module has a main configuration; `variables` are the indexed ones, and a
    // request has a value for each.
    unsafe {
        let conf: *const ngx_http_core_main_conf_t = Configuration::of(request).core_main();
        let variables = (*conf).variables.as_slice::<ngx_http_variable_t>();
        let values = request.get().variables;
        for (index, variable) in variables.iter().enumerate() {
            if !values.is_null() && strings::bytes(variable.name) == name {
                let value = values.add(index);
                (*value).set_valid(0);
                (*value).set_not_found(0);
            }
        }
    }
}

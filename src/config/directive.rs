//! A directive: a row of the table in `directives.rs`, and what happens where it stands in a
//! configuration.

use std::ffi::CStr;
use std::rc::Rc;

use super::code::HookScript;
use super::location::{Location, LocationConf};
use super::main::{Main, MainConf};
use super::phases::Phase;
use super::server::ServerConf;
use super::values;
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::http::configuration::Scope;
use crate::nginx::http::directive;

/// One directive.
pub struct Directive {
    pub name: &'static CStr,
    /// The contexts in which it is allowed.
    pub(super) place: u32,
    /// Its arguments.
    pub(super) takes: u32,
    pub(super) sets: Sets,
}

/// What a directive sets.
pub(super) enum Sets {
    MainFlag(fn(&mut Main) -> &mut Option<bool>),
    MainMsec(fn(&mut Main) -> &mut Option<usize>),
    MainNumber(fn(&mut Main) -> &mut Option<usize>),
    Main(fn(Conf, &MainConf) -> ConfResult),
    Flag(fn(&mut Location) -> &mut Option<bool>),
    Msec(fn(&mut Location) -> &mut Option<usize>),
    Size(fn(&mut Location) -> &mut Option<usize>),
    Number(fn(&mut Location) -> &mut Option<usize>),
    #[cfg(ngx_feature = "http_ssl")]
    Text(fn(&mut Location) -> &mut Option<Vec<u8>>),
    Location(fn(Conf, &LocationConf) -> ConfResult),
    Code(Form, Phase),
    /// A content handler of this module's own.
    Content(fn(Conf, &MainConf) -> ConfResult),
    Hook(Form, HookField),
    /// `set_by_lua*`: a variable that nginx's rewrite module sets.
    Variable(Form),
    /// `balancer_by_lua*`: the code of an `upstream` block.
    Balancer(Form),
    Server(fn(Conf, &ServerConf) -> ConfResult),
    /// `ssl_*_by_lua*`: code of a server's TLS handshakes.
    Tls(Form, Phase),
    /// `proxy_ssl_*_by_lua*`: code of handshakes with the servers that a location passes requests
    /// to.
    #[cfg(ngx_feature = "http_ssl")]
    UpstreamTls(Form, Phase),
}

/// Which script of the `http` block a directive sets.
pub(super) type HookField = fn(&mut Main) -> &mut Option<Rc<HookScript>>;

/// How the code of a directive is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Inline,
    Block,
    File,
}

impl directive::Directive for Directive {
    fn set(&self, cf: Conf) -> ConfResult {
        let main = || MainConf::of(&cf);
        let location = || LocationConf::of(&cf);
        let server = || ServerConf::of(&cf);
        match self.sets {
            Sets::MainFlag(field) => values::set_flag(cf, field(&mut main().written.borrow_mut())),
            Sets::MainMsec(field) => values::set_msec(cf, field(&mut main().written.borrow_mut())),
            Sets::MainNumber(field) => {
                values::set_number(cf, field(&mut main().written.borrow_mut()))
            }
            Sets::Main(set) => set(cf, main()),
            Sets::Flag(field) => values::set_flag(cf, field(&mut location().written.borrow_mut())),
            Sets::Msec(field) => values::set_msec(cf, field(&mut location().written.borrow_mut())),
            Sets::Size(field) => values::set_size(cf, field(&mut location().written.borrow_mut())),
            Sets::Number(field) => {
                values::set_number(cf, field(&mut location().written.borrow_mut()))
            }
            #[cfg(ngx_feature = "http_ssl")]
            Sets::Text(field) => values::set_text(cf, field(&mut location().written.borrow_mut())),
            Sets::Location(set) => set(cf, location()),
            Sets::Code(form, phase) => {
                Directive::set_code(cf, location(), phase, || self.read_script(cf, form).map(Some))
            }
            Sets::Content(set) => set(cf, main()),
            Sets::Hook(form, field) => self.set_hook(cf, main(), form, field),
            Sets::Variable(form) => self.set_variable(cf, form),
            Sets::Balancer(form) => self.set_balancer(cf, server(), form),
            Sets::Server(set) => set(cf, server()),
            Sets::Tls(form, phase) => self.set_tls(cf, server(), form, phase),
            #[cfg(ngx_feature = "http_ssl")]
            Sets::UpstreamTls(form, phase) => {
                Directive::set_code(cf, location(), phase, || self.read_fixed_script(cf, form))
            }
        }
    }
}

impl Directive {
    /// The scope of the structure that it sets.
    pub(super) const fn scope(&self) -> Scope {
        match self.sets {
            Sets::MainFlag(_)
            | Sets::MainMsec(_)
            | Sets::MainNumber(_)
            | Sets::Main(_)
            | Sets::Hook(..) => Scope::Main,
            Sets::Balancer(_) | Sets::Server(_) | Sets::Tls(..) => Scope::Server,
            _ => Scope::Location,
        }
    }
}

//! The table of directives: one row each, with the contexts in which it is allowed, its arguments,
//! and what it sets.

use std::ffi::CStr;
use std::rc::Rc;

use super::code::{HookCode, HookScript, Script, SetScript, SharedScript};
use super::location::{Location, LocationConf};
use super::main::{Main, MainConf};
use super::phases::Phase;
use super::server::ServerConf;
#[cfg(ngx_feature = "http_ssl")]
use super::tls;
use super::{block, capture_error_log, installers, shared_dict, system_resolver, values};
use crate::lua::chunk::Chunk;
use crate::lua::vm::GlobalWrites;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::directive;
use crate::nginx::core::directive::Commands;
use crate::nginx::core::directive::bits::*;
use crate::nginx::http::complex_value::ComplexValue;
use crate::nginx::http::configuration::{Configuration, Scope};
use crate::nginx::http::script_code;

/// One directive.
pub struct Directive {
    pub name: &'static CStr,
    /// The contexts in which it is allowed.
    place: u32,
    /// Its arguments.
    takes: u32,
    sets: Sets,
}

/// What a directive sets.
enum Sets {
    MainFlag(fn(&mut Main) -> &mut Option<bool>),
    MainMsec(fn(&mut Main) -> &mut Option<usize>),
    MainNumber(fn(&mut Main) -> &mut Option<usize>),
    Main(fn(Conf, &'static MainConf) -> ConfResult),
    Flag(fn(&mut Location) -> &mut Option<bool>),
    Msec(fn(&mut Location) -> &mut Option<usize>),
    Size(fn(&mut Location) -> &mut Option<usize>),
    Number(fn(&mut Location) -> &mut Option<usize>),
    #[cfg(ngx_feature = "http_ssl")]
    Text(fn(&mut Location) -> &mut Option<Vec<u8>>),
    #[cfg(ngx_feature = "http_ssl")]
    Location(fn(Conf, &LocationConf) -> ConfResult),
    Code(Form, Phase),
    /// A content handler of this module's own.
    Content(fn(Conf, &'static MainConf) -> ConfResult),
    Hook(Form, HookField),
    /// `set_by_lua*`: a variable that nginx's rewrite module sets.
    Variable(Form),
    /// `balancer_by_lua*`: the code of an `upstream` block.
    Balancer(Form),
    Server(fn(Conf, &'static ServerConf) -> ConfResult),
    /// `ssl_*_by_lua*`: code of a server's TLS handshakes.
    Tls(Form, Phase),
    /// `proxy_ssl_*_by_lua*`: code of handshakes with the servers that a location passes requests to.
    #[cfg(ngx_feature = "http_ssl")]
    UpstreamTls(Form, Phase),
}

/// Which script of the `http` block a directive sets.
type HookField = fn(&mut Main) -> &mut Option<Rc<HookScript>>;

/// How the code of a directive is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Inline,
    Block,
    File,
}

const MAIN: u32 = NGX_HTTP_MAIN_CONF;
const SERVER: u32 = MAIN | NGX_HTTP_SRV_CONF;
const LOCATION: u32 = SERVER | NGX_HTTP_LOC_CONF;
const LOCATION_IF: u32 = LOCATION | NGX_HTTP_LIF_CONF;
const CONTENT: u32 = NGX_HTTP_LOC_CONF | NGX_HTTP_LIF_CONF;

const fn row(name: &'static CStr, place: u32, takes: u32, sets: Sets) -> Directive {
    Directive { name, place, takes, sets }
}

const fn flag(name: &'static CStr, field: fn(&mut Location) -> &mut Option<bool>) -> Directive {
    row(name, LOCATION_IF, NGX_CONF_FLAG, Sets::Flag(field))
}

const fn msec(name: &'static CStr, field: fn(&mut Location) -> &mut Option<usize>) -> Directive {
    row(name, LOCATION_IF, NGX_CONF_TAKE1, Sets::Msec(field))
}

#[cfg(ngx_feature = "http_ssl")]
const fn text(name: &'static CStr, field: fn(&mut Location) -> &mut Option<Vec<u8>>) -> Directive {
    row(name, LOCATION, NGX_CONF_TAKE1, Sets::Text(field))
}

const fn main_number(name: &'static CStr, field: fn(&mut Main) -> &mut Option<usize>) -> Directive {
    row(name, MAIN, NGX_CONF_TAKE1, Sets::MainNumber(field))
}

const fn inline(name: &'static CStr, place: u32, phase: Phase) -> Directive {
    row(name, place, NGX_CONF_TAKE1, Sets::Code(Form::Inline, phase))
}

const fn block_form(name: &'static CStr, place: u32, phase: Phase) -> Directive {
    row(name, place, NGX_CONF_BLOCK | NGX_CONF_NOARGS, Sets::Code(Form::Block, phase))
}

const fn file(name: &'static CStr, place: u32, phase: Phase) -> Directive {
    row(name, place, NGX_CONF_TAKE1, Sets::Code(Form::File, phase))
}

const fn hook(name: &'static CStr, form: Form, field: HookField) -> Directive {
    row(name, MAIN, takes_code(form), Sets::Hook(form, field))
}

#[cfg(ngx_feature = "http_ssl")]
const fn handshake(name: &'static CStr, place: u32, form: Form, phase: Phase) -> Directive {
    row(name, place, takes_code(form), Sets::Tls(form, phase))
}

#[cfg(ngx_feature = "http_ssl")]
const fn upstream_handshake(name: &'static CStr, form: Form, phase: Phase) -> Directive {
    row(name, CONTENT, takes_code(form), Sets::UpstreamTls(form, phase))
}

/// What a directive of code takes.
const fn takes_code(form: Form) -> u32 {
    match form {
        Form::Block => BLOCK,
        Form::Inline | Form::File => NGX_CONF_TAKE1,
    }
}

const BLOCK: u32 = NGX_CONF_BLOCK | NGX_CONF_NOARGS;
const UPSTREAM: u32 = NGX_HTTP_UPS_CONF;
const SET: u32 = NGX_HTTP_SRV_CONF | NGX_HTTP_SIF_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LIF_CONF;

/// The directives.
pub static DIRECTIVES: &[Directive] = &[
    // the VM
    row(c"lua_package_path", MAIN, NGX_CONF_TAKE1, Sets::Main(set_package_path)),
    row(c"lua_package_cpath", MAIN, NGX_CONF_TAKE1, Sets::Main(set_package_cpath)),
    row(c"lua_load_resty_core", MAIN, NGX_CONF_FLAG, Sets::Main(warn_of_load_resty_core)),
    row(c"lua_code_cache", LOCATION_IF, NGX_CONF_FLAG, Sets::Flag(|l| &mut l.code_cache)),
    main_number(c"lua_thread_cache_max_entries", |m| &mut m.thread_cache_max_entries),
    row(c"lua_max_memory", MAIN, NGX_CONF_TAKE1, Sets::Main(set_max_memory)),
    row(c"lua_strict_globals", MAIN, NGX_CONF_TAKE1, Sets::Main(set_strict_globals)),
    row(c"lua_warn_slice", MAIN, NGX_CONF_TAKE1, Sets::MainMsec(|m| &mut m.warn_slice)),
    row(c"lua_max_slice", MAIN, NGX_CONF_TAKE1, Sets::MainMsec(|m| &mut m.max_slice)),
    row(c"lua_malloc_trim", MAIN, NGX_CONF_TAKE1, Sets::Main(set_malloc_trim)),
    main_number(c"lua_regex_cache_max_entries", |m| &mut m.regex_cache_max_entries),
    main_number(c"lua_regex_match_limit", |m| &mut m.regex_match_limit),
    main_number(c"lua_max_pending_timers", |m| &mut m.max_pending_timers),
    main_number(c"lua_max_pending_logs", |m| &mut m.max_pending_logs),
    main_number(c"lua_max_running_timers", |m| &mut m.max_running_timers),
    main_number(c"lua_worker_thread_vm_pool_size", |m| &mut m.worker_thread_vm_pool_size),
    row(c"lua_sa_restart", MAIN, NGX_CONF_FLAG, Sets::MainFlag(|m| &mut m.sa_restart)),
    row(c"lua_shared_dict", MAIN, NGX_CONF_TAKE2, Sets::Main(shared_dict::define)),
    row(c"lua_capture_error_log", MAIN, NGX_CONF_TAKE1, Sets::Main(capture_error_log::define)),
    // locations
    flag(c"lua_need_request_body", |l| &mut l.need_request_body),
    flag(c"lua_transform_underscores_in_response_headers", |l| &mut l.transform_underscores),
    flag(c"lua_http10_buffering", |l| &mut l.http10_buffering),
    flag(c"lua_check_client_abort", |l| &mut l.check_client_abort),
    flag(c"lua_use_default_type", |l| &mut l.use_default_type),
    // of this module only
    flag(c"lua_coalesce_output", |l| &mut l.coalesce_output),
    flag(c"lua_ctx_inherit", |l| &mut l.ctx_inherit),
    row(c"lua_status", CONTENT, NGX_CONF_NOARGS, Sets::Content(define_status)),
    row(c"lua_threads", CONTENT, NGX_CONF_NOARGS, Sets::Content(install_threads)),
    // sockets
    flag(c"lua_socket_log_errors", |l| &mut l.socket_log_errors),
    msec(c"lua_socket_keepalive_timeout", |l| &mut l.socket_keepalive_timeout),
    msec(c"lua_socket_connect_timeout", |l| &mut l.socket_connect_timeout),
    msec(c"lua_socket_send_timeout", |l| &mut l.socket_send_timeout),
    msec(c"lua_socket_read_timeout", |l| &mut l.socket_read_timeout),
    row(
        c"lua_socket_send_lowat",
        LOCATION_IF,
        NGX_CONF_TAKE1,
        Sets::Size(|l| &mut l.socket_send_lowat),
    ),
    row(
        c"lua_socket_buffer_size",
        LOCATION_IF,
        NGX_CONF_TAKE1,
        Sets::Size(|l| &mut l.socket_buffer_size),
    ),
    row(
        c"lua_socket_pool_size",
        LOCATION_IF,
        NGX_CONF_TAKE1,
        Sets::Number(|l| &mut l.socket_pool_size),
    ),
    // of this module only
    row(
        c"lua_system_resolver",
        MAIN,
        NGX_CONF_TAKE1 | NGX_CONF_TAKE2,
        Sets::Main(system_resolver::define),
    ),
    // TLS on sockets
    #[cfg(ngx_feature = "http_ssl")]
    row(c"lua_ssl_protocols", LOCATION, NGX_CONF_1MORE, Sets::Location(tls::set_protocols)),
    #[cfg(ngx_feature = "http_ssl")]
    text(c"lua_ssl_ciphers", |l| &mut l.tls.ciphers),
    #[cfg(ngx_feature = "http_ssl")]
    row(
        c"lua_ssl_verify_depth",
        LOCATION,
        NGX_CONF_TAKE1,
        Sets::Number(|l| &mut l.tls.verify_depth),
    ),
    #[cfg(ngx_feature = "http_ssl")]
    text(c"lua_ssl_trusted_certificate", |l| &mut l.tls.trusted_certificate),
    #[cfg(ngx_feature = "http_ssl")]
    text(c"lua_ssl_crl", |l| &mut l.tls.crl),
    #[cfg(ngx_feature = "http_ssl")]
    row(c"lua_ssl_conf_command", LOCATION, NGX_CONF_TAKE2, Sets::Location(tls::add_command)),
    #[cfg(ngx_feature = "http_ssl")]
    row(c"lua_ssl_certificate", LOCATION, NGX_CONF_TAKE1, Sets::Location(tls::add_certificate)),
    #[cfg(ngx_feature = "http_ssl")]
    row(
        c"lua_ssl_certificate_key",
        LOCATION,
        NGX_CONF_TAKE1,
        Sets::Location(tls::add_certificate_key),
    ),
    #[cfg(ngx_feature = "http_ssl")]
    text(c"lua_ssl_key_log", |l| &mut l.tls.key_log),
    // phases of a request
    row(c"set_by_lua", SET, NGX_CONF_2MORE, Sets::Variable(Form::Inline)),
    row(c"set_by_lua_block", SET, NGX_CONF_BLOCK | NGX_CONF_TAKE1, Sets::Variable(Form::Block)),
    row(c"set_by_lua_file", SET, NGX_CONF_2MORE, Sets::Variable(Form::File)),
    block_form(c"server_rewrite_by_lua_block", SERVER, Phase::ServerRewrite),
    file(c"server_rewrite_by_lua_file", SERVER, Phase::ServerRewrite),
    inline(c"rewrite_by_lua", LOCATION_IF, Phase::Rewrite),
    block_form(c"rewrite_by_lua_block", LOCATION_IF, Phase::Rewrite),
    file(c"rewrite_by_lua_file", LOCATION_IF, Phase::Rewrite),
    row(
        c"rewrite_by_lua_no_postpone",
        MAIN,
        NGX_CONF_FLAG,
        Sets::MainFlag(|m| &mut m.rewrite_no_postpone),
    ),
    inline(c"access_by_lua", LOCATION_IF, Phase::Access),
    block_form(c"access_by_lua_block", LOCATION_IF, Phase::Access),
    file(c"access_by_lua_file", LOCATION_IF, Phase::Access),
    row(
        c"access_by_lua_no_postpone",
        MAIN,
        NGX_CONF_FLAG,
        Sets::MainFlag(|m| &mut m.access_no_postpone),
    ),
    block_form(c"precontent_by_lua_block", LOCATION_IF, Phase::Precontent),
    file(c"precontent_by_lua_file", LOCATION_IF, Phase::Precontent),
    row(
        c"precontent_by_lua_no_postpone",
        MAIN,
        NGX_CONF_FLAG,
        Sets::MainFlag(|m| &mut m.precontent_no_postpone),
    ),
    inline(c"content_by_lua", CONTENT, Phase::Content),
    block_form(c"content_by_lua_block", CONTENT, Phase::Content),
    file(c"content_by_lua_file", CONTENT, Phase::Content),
    inline(c"header_filter_by_lua", LOCATION_IF, Phase::HeaderFilter),
    block_form(c"header_filter_by_lua_block", LOCATION_IF, Phase::HeaderFilter),
    file(c"header_filter_by_lua_file", LOCATION_IF, Phase::HeaderFilter),
    inline(c"body_filter_by_lua", LOCATION_IF, Phase::BodyFilter),
    block_form(c"body_filter_by_lua_block", LOCATION_IF, Phase::BodyFilter),
    file(c"body_filter_by_lua_file", LOCATION_IF, Phase::BodyFilter),
    inline(c"log_by_lua", LOCATION_IF, Phase::Log),
    block_form(c"log_by_lua_block", LOCATION_IF, Phase::Log),
    file(c"log_by_lua_file", LOCATION_IF, Phase::Log),
    // phases of a process
    hook(c"init_by_lua", Form::Inline, |m| &mut m.init),
    hook(c"init_by_lua_block", Form::Block, |m| &mut m.init),
    hook(c"init_by_lua_file", Form::File, |m| &mut m.init),
    hook(c"init_worker_by_lua", Form::Inline, |m| &mut m.init_worker),
    hook(c"init_worker_by_lua_block", Form::Block, |m| &mut m.init_worker),
    hook(c"init_worker_by_lua_file", Form::File, |m| &mut m.init_worker),
    hook(c"exit_worker_by_lua_block", Form::Block, |m| &mut m.exit_worker),
    hook(c"exit_worker_by_lua_file", Form::File, |m| &mut m.exit_worker),
    // TLS and upstreams
    row(c"balancer_by_lua_block", UPSTREAM, BLOCK, Sets::Balancer(Form::Block)),
    row(c"balancer_by_lua_file", UPSTREAM, NGX_CONF_TAKE1, Sets::Balancer(Form::File)),
    row(c"balancer_keepalive", UPSTREAM, NGX_CONF_TAKE1, Sets::Server(set_keepalive)),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_client_hello_by_lua_block", SERVER, Form::Block, Phase::SslClientHello),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_client_hello_by_lua_file", SERVER, Form::File, Phase::SslClientHello),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_certificate_by_lua_block", SERVER, Form::Block, Phase::SslCertificate),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_certificate_by_lua_file", SERVER, Form::File, Phase::SslCertificate),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_session_store_by_lua_block", MAIN, Form::Block, Phase::SslSessionStore),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_session_store_by_lua_file", MAIN, Form::File, Phase::SslSessionStore),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_session_fetch_by_lua_block", MAIN, Form::Block, Phase::SslSessionFetch),
    #[cfg(ngx_feature = "http_ssl")]
    handshake(c"ssl_session_fetch_by_lua_file", MAIN, Form::File, Phase::SslSessionFetch),
    #[cfg(ngx_feature = "http_ssl")]
    upstream_handshake(
        c"proxy_ssl_certificate_by_lua_block",
        Form::Block,
        Phase::ProxySslCertificate,
    ),
    #[cfg(ngx_feature = "http_ssl")]
    upstream_handshake(
        c"proxy_ssl_certificate_by_lua_file",
        Form::File,
        Phase::ProxySslCertificate,
    ),
    #[cfg(ngx_feature = "http_ssl")]
    upstream_handshake(c"proxy_ssl_verify_by_lua_block", Form::Block, Phase::ProxySslVerify),
    #[cfg(ngx_feature = "http_ssl")]
    upstream_handshake(c"proxy_ssl_verify_by_lua_file", Form::File, Phase::ProxySslVerify),
    #[cfg(ngx_feature = "http_ssl")]
    row(
        c"lua_upstream_skip_openssl_default_verify",
        CONTENT,
        NGX_CONF_FLAG,
        Sets::Flag(|l| &mut l.skip_default_verify),
    ),
];

/// [`DIRECTIVES`] in nginx's form.
pub static COMMANDS: Commands<{ DIRECTIVES.len() + 1 }> = commands();

const fn commands() -> Commands<{ DIRECTIVES.len() + 1 }> {
    let mut commands = Commands::empty();
    let mut i = 0;
    while i < DIRECTIVES.len() {
        let row = &DIRECTIVES[i];
        let command = directive::command(row.name, row.place | row.takes, row.scope(), row);
        commands = commands.with(i, command);
        i += 1;
    }
    commands
}

impl directive::Directive for Directive {
    fn set(&self, cf: Conf) -> ConfResult {
        let main = || Configuration::under(cf).get::<MainConf>();
        let location = || Configuration::under(cf).get::<LocationConf>();
        let server = || Configuration::under(cf).get::<ServerConf>();
        match self.sets {
            Sets::MainFlag(field) => values::set_flag(cf, field(&mut main().written.borrow_mut())),
            Sets::MainMsec(field) => values::set_msec(cf, field(&mut main().written.borrow_mut())),
            Sets::MainNumber(field) => {
                values::set_number(cf, field(&mut main().written.borrow_mut()))
            }
            Sets::Main(set) => set(cf, main()),
            Sets::Flag(field) => {
                values::set_flag(cf, field(&mut location().written.borrow_mut()))?;
                self.warn_of_code_cache_off(cf, location());
                Ok(())
            }
            Sets::Msec(field) => values::set_msec(cf, field(&mut location().written.borrow_mut())),
            Sets::Size(field) => values::set_size(cf, field(&mut location().written.borrow_mut())),
            Sets::Number(field) => {
                values::set_number(cf, field(&mut location().written.borrow_mut()))
            }
            #[cfg(ngx_feature = "http_ssl")]
            Sets::Text(field) => values::set_text(cf, field(&mut location().written.borrow_mut())),
            #[cfg(ngx_feature = "http_ssl")]
            Sets::Location(set) => set(cf, location()),
            Sets::Code(form, phase) => self.set_code(cf, location(), form, phase),
            Sets::Content(set) => set(cf, main()),
            Sets::Hook(form, field) => self.set_hook(cf, main(), form, field),
            Sets::Variable(form) => self.set_variable(cf, form),
            Sets::Balancer(form) => self.set_balancer(cf, server(), form),
            Sets::Server(set) => set(cf, server()),
            Sets::Tls(form, phase) => self.set_tls(cf, server(), form, phase),
            #[cfg(ngx_feature = "http_ssl")]
            Sets::UpstreamTls(form, phase) => self.set_upstream_tls(cf, location(), form, phase),
        }
    }
}

impl Directive {
    /// The scope of the structure that it sets.
    const fn scope(&self) -> Scope {
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

    fn warn_of_code_cache_off(&self, cf: Conf, location: &LocationConf) {
        let off = location.written.borrow().code_cache == Some(false);
        if self.name == c"lua_code_cache" && off {
            cf.log(Level::Alert, b"lua_code_cache is off; this will hurt performance");
        }
    }

    fn set_code(&self, cf: Conf, location: &LocationConf, form: Form, phase: Phase) -> ConfResult {
        if location.written.borrow().scripts.get(phase).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let script = self.read_script(cf, form)?;
        location.written.borrow_mut().scripts.set(phase, SharedScript::new(script));
        MainConf::under(cf).uses(phase);
        if phase == Phase::Content {
            installers::run(cf, |installers| installers.content);
        }
        Ok(())
    }

    fn set_hook(&self, cf: Conf, main: &MainConf, form: Form, field: HookField) -> ConfResult {
        if field(&mut main.written.borrow_mut()).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        let name = self.name.to_str().unwrap_or_default();
        let name = name.strip_suffix("_block").unwrap_or(name);
        if code.is_empty() && name.starts_with("init_by") {
            return Err(no_code(cf));
        }
        let code = if form == Form::File {
            HookCode::File(cf.full_name(&code, false)?.as_bytes().to_vec())
        } else {
            HookCode::Inline(Chunk::new(&code, &self.chunk_name(cf, line)))
        };
        *field(&mut main.written.borrow_mut()) = Some(Rc::new(HookScript { name, code }));
        Ok(())
    }

    /// `set_by_lua* $variable CODE ARGUMENT…`: the code is the second word, or the block.
    fn set_variable(&self, cf: Conf, form: Form) -> ConfResult {
        let line = cf.line();
        let target = cf.word(1).to_vec();
        let (code, first) = match form {
            Form::Block => (block::read(cf)?, 2),
            Form::Inline | Form::File => (cf.word(2).to_vec(), 3),
        };
        let script = match form {
            Form::File => Script::file(ComplexValue::compile(cf, &code)?, &code),
            Form::Inline | Form::Block => {
                Script::Inline(Chunk::new(&code, &self.chunk_name(cf, line)))
            }
        };
        let arguments: Result<Vec<_>, _> = (first..cf.words().len())
            .map(|index| ComplexValue::compile(cf, cf.word(index)))
            .collect();
        MainConf::under(cf).uses(Phase::Set);
        script_code::set_variable(cf, &target, SetScript { script, arguments: arguments? })
    }

    /// Sets the code of an `upstream` block; a file's path is used as it is written.
    fn set_balancer(&self, cf: Conf, server: &ServerConf, form: Form) -> ConfResult {
        if server.balancer.get().is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let script = self.read_fixed_script(cf, form, |line| self.chunk_name(cf, line))?;
        let script = script.ok_or_else(|| no_code(cf))?;
        MainConf::under(cf).uses(Phase::Balancer);
        let _ = server.balancer.set(script);
        installers::run(cf, |installers| installers.balancer);
        Ok(())
    }

    /// Sets the code of a server's TLS handshakes; empty code means none.
    fn set_tls(&self, cf: Conf, server: &ServerConf, form: Form, phase: Phase) -> ConfResult {
        if server.script(phase).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let script = self.read_fixed_script(cf, form, |line| self.chunk_name(cf, line))?;
        let script = script.map(|script| match script {
            // Without a place, before release 0.10.25.
            Script::Inline(chunk) if phase == Phase::SslClientHello => {
                Script::Inline(chunk.formerly(10_025, b"=ssl_client_hello_by_lua"))
            }
            script => script,
        });
        if let Some(script) = script {
            server.set_script(phase, SharedScript::new(script));
            MainConf::under(cf).uses(phase);
        }
        Ok(())
    }

    /// Sets the code of a location's handshakes with servers; empty code means none.
    #[cfg(ngx_feature = "http_ssl")]
    fn set_upstream_tls(
        &self,
        cf: Conf,
        location: &LocationConf,
        form: Form,
        phase: Phase,
    ) -> ConfResult {
        if location.written.borrow().scripts.get(phase).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        if let Some(script) = self.read_fixed_script(cf, form, |line| self.chunk_name(cf, line))? {
            location.written.borrow_mut().scripts.set(phase, SharedScript::new(script));
            MainConf::under(cf).uses(phase);
        }
        Ok(())
    }

    /// The directive's code, with a path without variables; `None` if it is empty.
    fn read_fixed_script(
        &self,
        cf: Conf,
        form: Form,
        chunk_name: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<Option<Script>, ConfError> {
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        Ok(match form {
            _ if code.is_empty() => None,
            Form::File => Some(Script::fixed_file(cf.full_name(&code, false)?.as_bytes(), &code)),
            Form::Inline | Form::Block => {
                Some(Script::Inline(Chunk::new(&code, &chunk_name(line))))
            }
        })
    }

    /// The directive's code, from its argument or its block.
    fn read_script(&self, cf: Conf, form: Form) -> Result<Script, ConfError> {
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        if code.is_empty() {
            return Err(no_code(cf));
        }
        if form == Form::File {
            return Ok(Script::file(ComplexValue::compile(cf, &code)?, &code));
        }
        Ok(Script::Inline(Chunk::new(&code, &self.chunk_name(cf, line))))
    }

    fn read_code(&self, cf: Conf, form: Form) -> Result<Vec<u8>, ConfError> {
        match form {
            Form::Block => block::read(cf),
            Form::Inline | Form::File => Ok(cf.word(1).to_vec()),
        }
    }

    /// `=content_by_lua(nginx.conf:42)`.
    fn chunk_name(&self, cf: Conf, line: usize) -> Vec<u8> {
        let name = self.name.to_str().unwrap_or_default();
        let tag = name.strip_suffix("_block").unwrap_or(name);
        codec::chunk_name::inline(tag, cf.file_name(), cf.prefix(), line)
    }
}

fn no_code(cf: Conf) -> ConfError {
    cf.log(Level::Err, b"invalid location config: no runnable Lua code");
    ConfError::Logged
}

fn define_status(cf: Conf, main: &'static MainConf) -> ConfResult {
    main.define_status(cf)?;
    installers::run(cf, |installers| installers.status);
    Ok(())
}

fn install_threads(cf: Conf, _main: &'static MainConf) -> ConfResult {
    installers::run(cf, |installers| installers.threads);
    Ok(())
}

fn set_strict_globals(cf: Conf, main: &MainConf) -> ConfResult {
    let value = &mut main.written.borrow_mut().global_writes;
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match cf.word(1) {
        b"warn" => GlobalWrites::Warned,
        b"error" => GlobalWrites::Refused,
        b"off" => GlobalWrites::Allowed,
        _ => {
            let explanation = b", it must be \"warn\", \"error\" or \"off\"";
            return Err(values::refuse(cf, explanation));
        }
    });
    Ok(())
}

/// A VM with lua-resty-core, and nothing else, takes a few hundred kilobytes.
const LEAST_MEMORY: usize = 1024 * 1024;

fn set_max_memory(cf: Conf, main: &MainConf) -> ConfResult {
    let value = &mut main.written.borrow_mut().max_memory;
    values::set_size(cf, value)?;
    match value {
        Some(size) if *size < LEAST_MEMORY => Err(values::refuse(cf, b", it must be 1m at least")),
        _ => Ok(()),
    }
}

fn set_package_path(cf: Conf, main: &MainConf) -> ConfResult {
    values::set_text(cf, &mut main.written.borrow_mut().package_path)
}

fn set_package_cpath(cf: Conf, main: &MainConf) -> ConfResult {
    values::set_text(cf, &mut main.written.borrow_mut().package_cpath)
}

/// The most idle connections that an `upstream` block keeps.
fn set_keepalive(cf: Conf, server: &ServerConf) -> ConfResult {
    if server.idle.max.get().is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    let number = std::str::from_utf8(cf.word(1)).ok().and_then(|word| word.parse().ok());
    let Some(number) = number.filter(|number| *number > 0) else {
        return Err(values::refuse(cf, b""));
    };
    server.idle.max.set(Some(number));
    Ok(())
}

fn set_malloc_trim(cf: Conf, main: &MainConf) -> ConfResult {
    let requests = std::str::from_utf8(cf.word(1)).ok().and_then(|word| word.parse().ok());
    let Some(requests) = requests else {
        return Err(ConfError::Directive(c"invalid number in the 1st argument"));
    };
    main.written.borrow_mut().malloc_trim = Some(requests);
    Ok(())
}

fn warn_of_load_resty_core(cf: Conf, _main: &MainConf) -> ConfResult {
    cf.log(
        Level::Warn,
        b"lua_load_resty_core is deprecated (the lua-resty-core library is required since \
          ngx_lua v0.10.16)",
    );
    Ok(())
}

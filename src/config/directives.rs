//! The table of directives: one row each, with the contexts in which it is allowed, its arguments,
//! and what it sets.

use std::ffi::CStr;

use super::directive::{Directive, Form, HookField, Sets};
use super::location::Location;
use super::main::Main;
use super::phases::Phase;
#[cfg(ngx_feature = "http_ssl")]
use super::tls;
use super::{
    capture_error_log, check, error_log_format, log_level, setters, shared_dict, system_resolver,
    worker_events,
};
use crate::nginx::http::directive;
use crate::nginx::http::directive::Commands;
use crate::nginx::http::directive::bits::*;

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
    row(name, place, BLOCK, Sets::Code(Form::Block, phase))
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
    row(c"lua_package_path", MAIN, NGX_CONF_TAKE1, Sets::Main(setters::set_package_path)),
    row(c"lua_package_cpath", MAIN, NGX_CONF_TAKE1, Sets::Main(setters::set_package_cpath)),
    row(c"lua_load_resty_core", MAIN, NGX_CONF_FLAG, Sets::Main(setters::warn_of_load_resty_core)),
    row(c"lua_code_cache", LOCATION_IF, NGX_CONF_TAKE1, Sets::Location(setters::set_code_cache)),
    main_number(c"lua_thread_cache_max_entries", |m| &mut m.thread_cache_max_entries),
    row(c"lua_max_memory", MAIN, NGX_CONF_TAKE1, Sets::Main(setters::set_max_memory)),
    row(c"lua_strict_globals", MAIN, NGX_CONF_TAKE1, Sets::Main(setters::set_strict_globals)),
    row(c"lua_warn_slice", MAIN, NGX_CONF_TAKE1, Sets::MainMsec(|m| &mut m.warn_slice)),
    row(c"lua_max_slice", MAIN, NGX_CONF_TAKE1, Sets::MainMsec(|m| &mut m.max_slice)),
    row(c"lua_malloc_trim", MAIN, NGX_CONF_TAKE1, Sets::Main(setters::set_malloc_trim)),
    main_number(c"lua_regex_cache_max_entries", |m| &mut m.regex_cache_max_entries),
    main_number(c"lua_regex_match_limit", |m| &mut m.regex_match_limit),
    main_number(c"lua_max_pending_timers", |m| &mut m.max_pending_timers),
    main_number(c"lua_max_pending_logs", |m| &mut m.max_pending_logs),
    main_number(c"lua_max_running_timers", |m| &mut m.max_running_timers),
    main_number(c"lua_worker_thread_vm_pool_size", |m| &mut m.worker_thread_vm_pool_size),
    row(c"lua_sa_restart", MAIN, NGX_CONF_FLAG, Sets::MainFlag(|m| &mut m.sa_restart)),
    row(c"lua_shared_dict", MAIN, NGX_CONF_TAKE2, Sets::Main(shared_dict::define)),
    row(c"lua_capture_error_log", MAIN, NGX_CONF_TAKE1, Sets::Main(capture_error_log::define)),
    // of this module only
    row(c"lua_error_log_format", MAIN, NGX_CONF_TAKE1, Sets::Main(error_log_format::set)),
    row(c"lua_log_level", LOCATION_IF, NGX_CONF_1MORE, Sets::Location(log_level::set)),
    row(c"lua_check_code", MAIN, NGX_CONF_FLAG, Sets::MainFlag(|m| &mut m.check_code)),
    row(c"lua_check_files", MAIN, NGX_CONF_1MORE, Sets::Main(check::add_files)),
    row(c"lua_check_init", MAIN, NGX_CONF_FLAG, Sets::MainFlag(|m| &mut m.check_init)),
    row(c"lua_worker_events", MAIN, NGX_CONF_TAKE1, Sets::Main(worker_events::set)),
    // locations
    flag(c"lua_need_request_body", |l| &mut l.need_request_body),
    flag(c"lua_transform_underscores_in_response_headers", |l| &mut l.transform_underscores),
    flag(c"lua_http10_buffering", |l| &mut l.http10_buffering),
    flag(c"lua_check_client_abort", |l| &mut l.check_client_abort),
    flag(c"lua_use_default_type", |l| &mut l.use_default_type),
    // of this module only
    flag(c"lua_coalesce_output", |l| &mut l.coalesce_output),
    flag(c"lua_ctx_inherit", |l| &mut l.ctx_inherit),
    row(c"lua_status", CONTENT, NGX_CONF_NOARGS, Sets::Content(setters::define_status)),
    row(c"lua_threads", CONTENT, NGX_CONF_NOARGS, Sets::Content(setters::install_threads)),
    row(c"lua_profile", CONTENT, NGX_CONF_NOARGS, Sets::Content(setters::install_profile)),
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
    row(c"balancer_keepalive", UPSTREAM, NGX_CONF_TAKE1, Sets::Server(setters::set_keepalive)),
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

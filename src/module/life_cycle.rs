//! nginx's life-cycle: configuration, merge, start and end of processes. Each step delegates.

use crate::config::error_log_format;
use crate::config::system_resolver;
#[cfg(ngx_feature = "http_ssl")]
use crate::config::tls;
use crate::config::{LocationConf, MainConf, ServerConf, installers};
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::json_log;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::{host, loaded, process};
use crate::nginx::http::configuration::Configuration;
use crate::runtime::{log_description, vm};
use crate::{api, phase};

/// Checks, before anything else, that this module can work in this process; what went wrong has been
/// logged.
pub fn admit(cf: Conf) -> ConfResult {
    if let Some(reason) = host::refusal().or_else(loaded::refusal) {
        return Err(cf.refuse_plainly(reason.bytes()));
    }
    loaded::stay();
    if let Some(warning) = loaded::replaced() {
        cf.parser_log().write(Level::Warn, warning.bytes());
    }
    Ok(())
}

/// Sets the function pointers through which lower layers call upper ones: the only calls that run
/// upwards.
pub fn hand_down() {
    installers::set(installers::Installers {
        content: phase::content::install,
        status: phase::status::install,
        threads: phase::threads::install,
        profile: phase::profile::install,
        balancer: phase::balancer::install,
    });
    vm::set_filler(vm::Filler { inject: api::inject, complete: api::complete });
    json_log::set_describer(log_description::of);
}

/// `inner` inherits from `outer` what it does not set.
pub fn merge_server(cf: Conf, outer: &ServerConf, inner: &ServerConf) -> ConfResult {
    inner.inherit(outer);
    #[cfg(ngx_feature = "http_ssl")]
    return phase::ssl::install(cf, inner);
    #[cfg(not(ngx_feature = "http_ssl"))]
    {
        let _ = cf;
        Ok(())
    }
}

/// As [`merge_server`].
pub fn merge_location(cf: Conf, outer: &LocationConf, inner: &LocationConf) -> ConfResult {
    capture_location(cf)?;
    if MainConf::of(&cf).json_log() {
        json_log::attach_to_location(cf);
    }
    inner.inherit(outer);
    #[cfg(ngx_feature = "http_ssl")]
    inner.inherit_tls(cf, outer)?;
    #[cfg(ngx_feature = "http_ssl")]
    phase::ssl::upstream::install(cf, inner)?;
    Ok(())
}

/// Has `lua_capture_error_log` see the error log of the location that is being merged.
fn capture_location(cf: Conf) -> Result<(), OutOfMemory> {
    match MainConf::of(&cf).capture() {
        Some(capture) => capture.attach_to_location(cf),
        None => Ok(()),
    }
}

/// The configuration of the `http` block has been read: sets up the hooks that it needs, and the Lua
/// VM. What went wrong has been logged.
pub fn set_up(cf: Conf) -> Result<(), ()> {
    if process::is_signaller() {
        return Ok(());
    }
    vm::check_process(cf)?;
    let main = MainConf::of(&cf);
    main.events.define(cf, main).map_err(drop)?;
    let is_test = process::is_configuration_test();
    if is_test && !main.check_init() {
        // Nothing runs, but a start would fail without lua-resty-core.
        vm::start(cf, main)?;
        return phase::check::run(main, cf.parser_log()).map_err(drop);
    }
    main.is_read();
    error_log_format::prepare(cf, main);
    phase::install_hooks(cf, main).map_err(drop)?;
    system_resolver::make(cf, main).map_err(drop)?;
    let _ = main.hook_configuration.set(cf.hook_configuration().map_err(drop)?);
    #[cfg(ngx_feature = "http_ssl")]
    prepare_tls_of_hooks(cf, main)?;
    vm::start(cf, main)?;
    #[cfg(ngx_feature = "http_ssl")]
    tls::set_default_protocols(cf, main).map_err(drop)?;
    if is_test {
        phase::check::run(main, cf.parser_log()).map_err(drop)?;
    }
    let configuration = Configuration::under(cf);
    let init =
        move |cycle, log| phase::init::run(MainConf::of(&configuration), cycle, log).map_err(drop);
    match main.zones.when_ready(Box::new(init)) {
        Some(init) => init(cf.cycle(), cf.parser_log()),
        None => Ok(()),
    }
}

/// Code that runs without a request may make TLS connections too.
#[cfg(ngx_feature = "http_ssl")]
fn prepare_tls_of_hooks(cf: Conf, main: &MainConf) -> Result<(), ()> {
    let written = main.written.borrow();
    let hooks = written.init_worker.is_some() || written.exit_worker.is_some();
    if !hooks && main.events.zone().is_none() {
        return Ok(());
    }
    LocationConf::of(&cf).make_tls(cf).map_err(drop)
}

/// nginx has read the whole configuration of `cycle`, whose own error log is complete now.
pub fn configuration_is_read(cycle: Cycle) -> Result<(), OutOfMemory> {
    error_log_format::apply(cycle);
    vm::announce(cycle);
    phase::status::configuration_is_read(cycle);
    api::worker_events::configuration_is_read(cycle);
    #[cfg(ngx_feature = "threads")]
    api::worker_thread::configuration_is_read();
    if let Some(main) = MainConf::of_cycle(&cycle) {
        phase::install_first_filter(main);
    }
    match MainConf::of_cycle(&cycle).and_then(MainConf::capture) {
        Some(capture) => capture.attach_to_cycle(cycle),
        None => Ok(()),
    }
}

/// Called when a worker, or another process of nginx's, starts.
pub fn process_starts(cycle: Cycle) {
    error_log_format::apply(cycle);
    vm::present(cycle);
    phase::status::process_starts(cycle);
    api::worker_events::process_starts(cycle);
    phase::init_worker::run(cycle);
}

/// Called when the process ends.
pub fn process_ends(cycle: Cycle) {
    phase::profile::process_ends();
    phase::exit_worker::run(cycle);
    phase::status::process_ends();
    api::worker_events::process_ends();
    api::timer::drop_pending();
    crate::nginx::event::peer::leave();
    api::pipe::destroy_all();
    #[cfg(ngx_feature = "threads")]
    api::worker_thread::close_idle();
}

//! nginx's life-cycle hooks: configuration, merge, init and exit of processes. Each delegates.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use crate::config::{LocationConf, MainConf, ServerConf};
use crate::nginx::conf::{CONF_ERROR, Conf};
use crate::nginx::pool::{OutOfMemory, Pool};
use crate::nginx::sys::{ngx_conf_t, ngx_cycle_t, ngx_int_t};
use crate::nginx::{Rc, guard, process};
use crate::{phase, vm};

pub unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes its parser.
    unsafe { create::<MainConf>(cf) }
}

pub unsafe extern "C" fn create_server_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes its parser.
    unsafe { create::<ServerConf>(cf) }
}

pub unsafe extern "C" fn create_location_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes its parser.
    unsafe { create::<LocationConf>(cf) }
}

/// A configuration structure in the cycle's pool; null where memory is out.
unsafe fn create<T: Default + 'static>(cf: *mut ngx_conf_t) -> *mut c_void {
    crate::nginx::guard::install_panic_hook();
    guard(null_mut(), || {
        // SAFETY: the caller's.
        let conf = unsafe { Conf::from_ptr(cf) };
        conf.and_then(|conf| conf.pool().ok())
            .and_then(|pool| pool.own(T::default()).ok())
            .map_or(null_mut(), |conf| conf.as_ptr().cast())
    })
}

pub unsafe extern "C" fn merge_server_conf(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    guard(CONF_ERROR, || {
        // SAFETY: nginx passes its parser, within the http block.
        let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else { return CONF_ERROR };
        // SAFETY: nginx passes two structures that create_server_conf made.
        let (outer, inner) =
            unsafe { (&*outer.cast::<ServerConf>(), &*inner.cast::<ServerConf>()) };
        inner.inherit(outer);
        #[cfg(ngx_feature = "http_ssl")]
        return crate::nginx::conf::to_nginx(phase::ssl::install(cf, inner));
        #[cfg(not(ngx_feature = "http_ssl"))]
        null_mut()
    })
}

pub unsafe extern "C" fn merge_location_conf(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    guard(CONF_ERROR, || {
        // SAFETY: nginx passes its parser, within the http block.
        let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else { return CONF_ERROR };
        if capture_location(cf).is_err() {
            return CONF_ERROR;
        }
        // SAFETY: nginx passes two structures that create_location_conf made.
        let (outer, inner) =
            unsafe { (&*outer.cast::<LocationConf>(), &*inner.cast::<LocationConf>()) };
        inner.inherit(outer);
        #[cfg(ngx_feature = "http_ssl")]
        if inner.inherit_tls(cf, outer).is_err() {
            return CONF_ERROR;
        }
        null_mut()
    })
}

/// Has `lua_capture_error_log` see the error log of the location that is being merged.
fn capture_location(cf: Conf) -> Result<(), OutOfMemory> {
    // SAFETY: create_main_conf made it.
    let main: &MainConf = unsafe { &*cf.main_conf(crate::module()).cast() };
    let Some(capture) = main.capture() else { return Ok(()) };
    // SAFETY: the log and the buffer are of the configuration that is being read, and in its pool.
    unsafe { capture.attach(cf.pool()?, cf.location_error_log()) }
}

/// Has it see the cycle's own error log, which is complete now.
fn capture_cycle(cycle: *mut ngx_cycle_t) -> Result<(), OutOfMemory> {
    let capture = MainConf::of_cycle(cycle).and_then(MainConf::capture);
    let Some(capture) = capture else { return Ok(()) };
    // SAFETY: nginx passes the cycle whose configuration it has read; the buffer is in its pool.
    unsafe {
        let pool = Pool::from_ptr((*cycle).pool).ok_or(OutOfMemory)?;
        capture.attach(pool, std::ptr::addr_of_mut!((*cycle).new_log))
    }
}

/// Sets up the hooks that the configuration needs, and the Lua VM.
pub unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(Rc::ERROR.0, || {
        // SAFETY: nginx passes its parser, within the http block.
        let Some(cf) = (unsafe { Conf::from_ptr(cf) }) else { return Rc::ERROR.0 };
        if process::is_configuration_test() {
            return Rc::OK.0;
        }
        // SAFETY: create_main_conf made it.
        let main: &'static MainConf = unsafe { &*cf.main_conf(crate::module()).cast() };
        if set_up(cf, main).is_ok() { Rc::OK.0 } else { Rc::ERROR.0 }
    })
}

/// What went wrong has been logged.
fn set_up(cf: Conf, main: &'static MainConf) -> Result<(), ()> {
    phase::install_hooks(cf, main).map_err(drop)?;
    let _ = main.hook_configuration.set(cf.hook_configuration().map_err(drop)?);
    #[cfg(ngx_feature = "http_ssl")]
    prepare_tls_of_hooks(cf, main)?;
    vm::start(cf, main)?;
    let init = |cycle, log| phase::init::run(main, cycle, log).map_err(drop);
    match main.zones.when_ready(Box::new(init)) {
        Some(init) => init(cf.cycle(), cf.parser_log()),
        None => Ok(()),
    }
}

/// Code that runs without a request may make TLS connections too.
#[cfg(ngx_feature = "http_ssl")]
fn prepare_tls_of_hooks(cf: Conf, main: &MainConf) -> Result<(), ()> {
    if main.written.borrow().init_worker.is_none() {
        return Ok(());
    }
    // SAFETY: create_location_conf made the http block's own.
    let outermost: &LocationConf = unsafe { &*cf.location_conf(crate::module()).cast() };
    outermost.make_tls(cf).map_err(drop)
}

pub unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(Rc::ERROR.0, || {
        vm::announce(cycle);
        if capture_cycle(cycle).is_ok() { Rc::OK.0 } else { Rc::ERROR.0 }
    })
}

pub unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(Rc::ERROR.0, || {
        vm::present(cycle);
        phase::init_worker::run(cycle);
        Rc::OK.0
    })
}

pub unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    guard((), || {
        phase::exit_worker::run(cycle);
        crate::api::timer::drop_pending();
        crate::nginx::peer::leave();
        crate::api::pipe::destroy_all();
        #[cfg(ngx_feature = "threads")]
        crate::api::worker_thread::close_idle();
    });
}

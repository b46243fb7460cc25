//! The values of the `http` block's directives, and the worker's Lua VM.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CString;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::check::Unchecked;
use super::code::HookScript;
use super::error_log_format::Trial;
use super::metrics::{self, StatusZone};
use super::phases::{Phase, PhaseSet};
use super::system_resolver::SystemResolver;
use super::worker_events::WorkerEvents;
use crate::lua::resty_core;
use crate::lua::vm::GlobalWrites;
use crate::lua::{CFunction, Vm};
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log_capture::Capture;
use crate::nginx::core::rc_cell::RcCell;
use crate::nginx::core::shared_memory::SharedZones;
use crate::nginx::event::system_names::SystemNames;
use crate::nginx::http::configuration::{Configuration, Configured};

/// The configuration of the `http` block, with the VM. nginx keeps it in the cycle's pool.
#[derive(Default)]
pub struct MainConf {
    pub written: RefCell<Main>,
    vm: RcCell<Vm>,
    /// Loaders that other modules put into `package.preload` of every VM.
    pub preload: RefCell<Vec<(CString, CFunction)>>,
    /// The phases that the configuration has code for; filled while it is read.
    used: Cell<PhaseSet>,
    /// The zones of shared memory, which `init_by_lua*` waits for.
    pub zones: SharedZones,
    /// The phases whose handlers have been moved after those of other modules.
    postponed: Cell<PhaseSet>,
    /// The configuration of a location without directives of its own, for worker hooks.
    pub hook_configuration: OnceCell<Configuration>,
    /// The buffer of `lua_capture_error_log`, in the cycle's pool.
    capture: Cell<Option<Capture>>,
    /// The zone of `lua_status`, if any location has that.
    status: Cell<Option<StatusZone>>,
    pub events: WorkerEvents,
    /// Whether some location has `lua_code_cache stat`.
    pub watches_code: Cell<bool>,
    /// The value of [`Main::regex_match_limit`], for other threads.
    regex_match_limit: AtomicUsize,
    /// TLS contexts that get the default protocols of the release that is presented, once that is
    /// known.
    #[cfg(ngx_feature = "http_ssl")]
    pub default_tls: RefCell<Vec<super::tls::DefaultContext>>,
    /// How names are looked up where there is no `resolver`; empty with `lua_system_resolver off`.
    pub system_names: OnceCell<SystemNames>,
    /// The system's authorities, for connections of cosockets.
    #[cfg(ngx_feature = "http_ssl")]
    pub system_store: OnceCell<Rc<crate::nginx::event::tls::SystemStore>>,
    /// The index of `$request_id`, where lines of the error log are JSON.
    pub request_id: Cell<Option<usize>>,
    pub log_format_trial: Trial,
    /// What `nginx -t` is to compile, in the order of the configuration.
    pub unchecked: RefCell<Vec<Unchecked>>,
    /// Requests that ended since the C library last gave memory back.
    pub requests_since_trim: Cell<usize>,
}

/// The values; `None` if not set.
#[derive(Default)]
pub struct Main {
    pub package_path: Option<Vec<u8>>,
    pub package_cpath: Option<Vec<u8>>,
    pub thread_cache_max_entries: Option<usize>,
    pub max_running_timers: Option<usize>,
    pub max_pending_timers: Option<usize>,
    pub max_pending_logs: Option<usize>,
    pub regex_cache_max_entries: Option<usize>,
    pub regex_match_limit: Option<usize>,
    pub malloc_trim: Option<usize>,
    pub global_writes: Option<GlobalWrites>,
    /// In milliseconds.
    pub warn_slice: Option<usize>,
    pub max_slice: Option<usize>,
    /// In bytes.
    pub max_memory: Option<usize>,
    pub worker_thread_vm_pool_size: Option<usize>,
    pub sa_restart: Option<bool>,
    pub system_resolver: Option<SystemResolver>,
    pub rewrite_no_postpone: Option<bool>,
    pub access_no_postpone: Option<bool>,
    pub precontent_no_postpone: Option<bool>,
    /// Whether lines of the error log are JSON.
    pub json_log: Option<bool>,
    /// What `nginx -t` does: compile the code of the directives, run that of `init_by_lua*`.
    pub check_code: Option<bool>,
    pub check_init: Option<bool>,
    pub init: Option<Rc<HookScript>>,
    pub init_worker: Option<Rc<HookScript>>,
    pub exit_worker: Option<Rc<HookScript>>,
}

impl MainConf {
    /// The configuration of the `http` block that `place` is in: of a request, of the block that is
    /// being read, and so on.
    #[inline(always)]
    pub fn of(place: &impl Configured) -> &MainConf {
        place.structure()
    }

    /// The configuration of a cycle's `http` block; `None` without such a block.
    pub fn of_cycle(cycle: &Cycle) -> Option<&MainConf> {
        Configuration::structure_of_cycle(cycle)
    }

    /// What `look` finds in the configuration of the current cycle's `http` block, for code without
    /// a request; `None` without such a block.
    pub fn with_current<T>(look: impl FnOnce(&MainConf) -> T) -> Option<T> {
        Configuration::current().map(|current| look(current.structure()))
    }

    /// The phases that the configuration has code for.
    pub fn used(&self) -> PhaseSet {
        self.used.get()
    }

    /// Notes that the configuration has code for `phase`.
    pub fn uses(&self, phase: Phase) {
        self.used.set(self.used.get().with(phase));
    }

    /// Whether the handler of `phase` must still be moved after those of other modules. True once:
    /// the caller does it.
    pub fn is_to_postpone(&self, phase: Phase) -> bool {
        let postponed = self.postponed.get();
        if postponed.has(phase) {
            return false;
        }
        self.postponed.set(postponed.with(phase));
        let written = self.written.borrow();
        let stays = match phase {
            Phase::Rewrite => written.rewrite_no_postpone,
            Phase::Access => written.access_no_postpone,
            Phase::Precontent => written.precontent_no_postpone,
            _ => Some(true),
        };
        stays != Some(true)
    }

    /// The worker's VM, once it has been made.
    pub fn vm(&self) -> Option<Rc<Vm>> {
        self.vm.get()
    }

    /// Gives the VM to this configuration.
    pub fn set_vm(&self, vm: Vm) {
        self.vm.set(Some(Rc::new(vm)));
    }

    /// Takes the VM away, in processes that run no Lua code.
    pub fn take_vm(&self) -> Option<Rc<Vm>> {
        self.vm.take()
    }

    /// The captured lines of the error log, if the configuration asks for them.
    pub fn capture(&self) -> Option<Capture> {
        self.capture.get()
    }

    /// Sets the buffer.
    pub fn set_capture(&self, capture: Capture) {
        self.capture.set(Some(capture));
    }

    /// The zone in which workers count, if the configuration asks for that.
    pub fn status(&self) -> Option<StatusZone> {
        self.status.get()
    }

    /// Makes workers count.
    pub fn define_status(&self, cf: Conf) -> ConfResult {
        if self.status.get().is_none() {
            let zone = StatusZone::define(cf, &self.zones, b"lua_status", metrics::outlasts);
            self.status.set(Some(zone.ok_or(ConfError::Logged)?));
        }
        Ok(())
    }

    pub fn thread_cache_max_entries(&self) -> usize {
        self.written.borrow().thread_cache_max_entries.unwrap_or(1024)
    }

    pub fn max_running_timers(&self) -> usize {
        self.written.borrow().max_running_timers.unwrap_or(256)
    }

    pub fn max_pending_logs(&self) -> usize {
        self.written.borrow().max_pending_logs.unwrap_or(1024)
    }

    pub fn max_pending_timers(&self) -> usize {
        self.written.borrow().max_pending_timers.unwrap_or(1024)
    }

    /// Whether `lua_malloc_trim` is set, and not to 0: then requests are counted even without
    /// `log_by_lua*`.
    pub fn trims_memory(&self) -> bool {
        self.written.borrow().malloc_trim.is_some_and(|requests| requests > 0)
    }

    /// After how many requests the C library returns free memory to the system; 0 for never. As in
    /// the C module, the default of 1000 has an effect only where `log_by_lua*` makes this module
    /// count requests.
    pub fn malloc_trim(&self) -> usize {
        self.written.borrow().malloc_trim.unwrap_or(1000)
    }

    /// Whether lines of the error log are JSON.
    pub fn json_log(&self) -> bool {
        self.written.borrow().json_log.unwrap_or(false)
    }

    /// Whether `nginx -t` compiles the code of the directives.
    pub fn check_code(&self) -> bool {
        self.written.borrow().check_code.unwrap_or(true)
    }

    /// Whether `nginx -t` runs `init_by_lua*`.
    pub fn check_init(&self) -> bool {
        self.written.borrow().check_init.unwrap_or(false)
    }

    /// Whether system calls are to go on after signals.
    pub fn sa_restart(&self) -> bool {
        self.written.borrow().sa_restart.unwrap_or(true)
    }

    pub fn regex_cache_max_entries(&self) -> usize {
        self.written.borrow().regex_cache_max_entries.unwrap_or(1024)
    }

    /// To be called when the configuration has been read, before any Lua code runs.
    pub fn is_read(&self) {
        let written = self.written.borrow().regex_match_limit;
        self.regex_match_limit.store(written.unwrap_or(0), Ordering::Relaxed);
    }

    /// `lua_regex_match_limit`, 0 for none. Threads other than the worker's main one may ask, too.
    pub fn regex_match_limit(&self) -> usize {
        self.regex_match_limit.load(Ordering::Relaxed)
    }

    /// How many VMs the worker has for `ngx.run_worker_thread`.
    #[cfg(ngx_feature = "threads")]
    pub fn worker_thread_vm_pool_size(&self) -> usize {
        let default = if resty_core::presented() < 10_027 { 100 } else { 10 };
        self.written.borrow().worker_thread_vm_pool_size.unwrap_or(default)
    }
}

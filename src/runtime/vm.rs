//! The worker's Lua VM: made in the master at configuration time, inherited by fork.

use std::sync::OnceLock;

use codec::fallible;

use super::counters;
use crate::config::MainConf;
use crate::lua::vm::{Recipe, VmError};
use crate::lua::{State, Vm, other_luas};
use crate::nginx::Level;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::shared_memory::Dict;
use crate::nginx::core::{executable_memory, host, log};

/// Fills a new VM with the API. Both functions may raise Lua errors.
pub struct Filler {
    /// Fills the globals.
    pub inject: fn(State, &[Dict]),
    /// Adds what needs lua-resty-core.
    pub complete: fn(State),
}

static FILLER: OnceLock<Filler> = OnceLock::new();

/// Sets what fills new VMs, before the first is made. A second call changes nothing.
pub fn set_filler(filler: Filler) {
    let _ = FILLER.set(filler);
}

/// Refuses a process with another LuaJIT in it, and warns of another Lua; the line has been logged.
pub fn check_process(cf: Conf) -> Result<(), ()> {
    let Some((level, line)) = other_luas::complaint() else { return Ok(()) };
    cf.log(level, line.bytes());
    if level == Level::Emerg { Err(()) } else { Ok(()) }
}

/// Makes the VM of a new configuration; errors have been logged.
pub fn start(cf: Conf, main: &MainConf) -> Result<(), ()> {
    executable_memory::probe();
    match make(cf.server_prefix(), main, None, true) {
        Ok(vm) => {
            vm.set_max_idle_threads(main.thread_cache_max_entries());
            if main.status().is_some() {
                vm.tell_of_events(counters::VM_EVENTS);
            }
            if main.watches_code.get() {
                vm.watch_code();
            }
            main.set_vm(vm);
            Ok(())
        }
        Err(error) => {
            cf.log(Level::Alert, &message(error));
            Err(())
        }
    }
}

/// To be called when the configuration of `cycle` is in force: logs what this module is, that
/// lua-resty-core is of another release, and that JIT compilers are off.
pub fn announce(cycle: Cycle) {
    let Some(vm) = MainConf::of_cycle(&cycle).and_then(MainConf::vm) else { return };
    cycle.make_current(|| log::log_cycle(Level::Notice, host::description().as_bytes()));
    if executable_memory::is_forbidden() {
        cycle.make_current(warn_of_memory);
    }
    if let Some(notice) = vm.release().notice() {
        cycle.make_current(|| log::log_cycle(Level::Notice, notice.as_bytes()));
    }
}

fn warn_of_memory() {
    log::log_cycle(Level::Warn, executable_memory::NOTICE.as_bytes());
}

/// To be called when a worker starts: makes its symbols follow the release that its VM presents,
/// and checks again whether JIT compilers are allowed, because the system may treat the worker
/// differently from the master.
pub fn present(cycle: Cycle) {
    let Some(vm) = MainConf::of_cycle(&cycle).and_then(MainConf::vm) else { return };
    vm.release().present();
    vm.collect_in_time();
    if executable_memory::probe() {
        warn_of_memory();
        if let Err(reason) = vm.stop_compiling() {
            log::log_cycle(Level::Alert, &reason);
        }
    }
}

/// Makes a VM with this module's API. With a `parent`, the worker's VM, it is a request's own
/// (`lua_code_cache off`).
pub fn make(
    prefix: &[u8],
    main: &MainConf,
    parent: Option<&Vm>,
    caches_code: bool,
) -> Result<Vm, VmError> {
    let written = main.written.borrow();
    let preload = main.preload.borrow();
    let dicts = main.zones.dicts();
    let recipe = Recipe {
        package_path: written.package_path.as_deref(),
        package_cpath: written.package_cpath.as_deref(),
        prefix,
        parent,
        inject: &|state| {
            if let Some(filler) = FILLER.get() {
                (filler.inject)(state, &dicts);
            }
        },
        complete: &|state| {
            if let Some(filler) = FILLER.get() {
                (filler.complete)(state);
            }
        },
        global_writes: written.global_writes.unwrap_or_default(),
        max_memory: written.max_memory,
        preload: &preload,
    };
    Vm::new(&recipe, caches_code)
}

/// The line for the error log, in the C module's words.
pub fn message(error: VmError) -> Vec<u8> {
    let concat = |pieces: &[&[u8]]| {
        fallible::concat(pieces).unwrap_or_else(|_| fallible::reason(fallible::NOT_ENOUGH))
    };
    match error {
        VmError::NoMemory => b"failed to initialize Lua VM".into(),
        VmError::Setup(reason) => concat(&[b"failed to initialize Lua VM: ", &reason]),
        VmError::RestyCore(reason) => concat(&[
            b"failed to load the 'resty.core' module (https://github.com/openresty/lua-resty-core); \
              install it and lua-resty-lrucache (Debian's packages have these names), or name their \
              directory in \"lua_package_path\" (reason: "
                .as_slice(),
            &reason,
            b")",
        ]),
    }
}

//! The driver of code that runs once per process: init, init_worker, exit_worker.

use std::rc::Rc;

use codec::fallible;

use super::synchronous::Failed;
use crate::config::MainConf;
use crate::config::code::HookScript;
use crate::lua::{Outcome, Thread, Vm};
use crate::nginx::Level;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::{Log, cycle_log};
use crate::nginx::core::process;
use crate::nginx::http::fake;
use crate::nginx::http::log_context::LogHandler;
use crate::ngx_debug;
use crate::runtime::{Context, Phase, fake_request, scheduler};

/// Runs `script` on the VM's main coroutine; logs a failure to `log`.
pub fn run(vm: &Vm, script: &HookScript, log: Log) -> Result<(), Failed> {
    let mut state = vm.main();
    let base = state.top();
    state.push_traceback_handler();
    let result = script.load(vm, state).and_then(|()| match state.call(0, 0, base + 1) {
        Outcome::Done => Ok(()),
        Outcome::Yielded | Outcome::Failed(_) => Err(state.take_error()),
    });
    if let Err(reason) = &result {
        log_failure(script, reason, log);
    }
    state.set_top(base);
    state.collect_garbage();
    result.map_err(|_| Failed)
}

/// Loads `script` and does not run it; logs a failure to `log`.
pub fn check(vm: &Vm, script: &HookScript, log: Log) -> Result<(), Failed> {
    let mut state = vm.main();
    let base = state.top();
    let result = script.load(vm, state);
    if let Err(reason) = &result {
        log_failure(script, reason, log);
    }
    state.set_top(base);
    result.map_err(|_| Failed)
}

/// This module's configuration in a worker's cycle; `None` in nginx's helper processes, whose VM is
/// closed.
pub fn worker_conf(cycle: &Cycle) -> Option<&MainConf> {
    let main = MainConf::of_cycle(cycle)?;
    if process::is_helper() {
        close_vm(main);
        return None;
    }
    Some(main)
}

/// Frees the VM in nginx's helper processes, which run no Lua code.
fn close_vm(main: &MainConf) {
    let Some(vm) = main.take_vm() else { return };
    ngx_debug!(
        cycle_log(),
        "lua close the global Lua VM {:016X} in the cache helper process {}",
        vm.main().as_ptr() as usize,
        std::process::id()
    );
    drop(vm);
}

/// Starts a worker's `script` for a fake request, and runs it until it waits or ends. What goes
/// wrong is logged.
///
/// `Some`: the context of code that waits, which the event loop continues.
pub fn start_in_worker(
    main: &MainConf,
    script: &HookScript,
    phase: Phase,
    logs_to_cycle: bool,
    log_handler: Option<LogHandler>,
) -> Option<Rc<Context>> {
    let (vm, configuration) = (main.vm()?, main.hook_configuration.get()?);
    let origin = fake::Origin::of_worker(*configuration, logs_to_cycle);
    let request = fake::create(&origin, log_handler).ok();
    let begun = request.and_then(|request| fake_request::begin(request, vm.clone(), phase).ok());
    let Some(context) = begun else {
        log_failure(script, fallible::NO_MEMORY.as_bytes(), cycle_log());
        return None;
    };
    match entry_thread(&vm, script) {
        Ok(thread) => {
            context.fake_end.hook.set(Some(script.name));
            scheduler::start_fake(&context, thread, || 0);
        }
        Err(reason) => {
            log_failure(script, &reason, cycle_log());
            fake_request::destroy(&context);
        }
    }
    vm.main().collect_garbage();
    (!context.is_released()).then_some(context)
}

/// A coroutine with the function of `script` on its stack.
fn entry_thread(vm: &Vm, script: &HookScript) -> Result<Thread, Vec<u8>> {
    let thread = vm.take_thread(cycle_log())?;
    match script.load(vm, thread.state) {
        Ok(()) => Ok(thread),
        Err(reason) => {
            vm.give_back_thread(thread, true, cycle_log());
            Err(reason)
        }
    }
}

fn log_failure(script: &HookScript, reason: &[u8], log: Log) {
    log.write_pieces(Level::Err, &[script.name.as_bytes(), b" error: ", reason]);
}

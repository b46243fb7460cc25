//! The driver of code that runs once per process: init, init_worker, exit_worker.

use super::synchronous::{Failed, MainCoroutine};
use crate::config::MainConf;
use crate::config::code::HookScript;
use crate::lua::Outcome;
use crate::lua::Vm;
use crate::nginx::Level;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::{Log, cycle_log};
use crate::nginx::core::process;
use crate::nginx::http::fake;
use crate::nginx::http::log_context::LogHandler;
use crate::ngx_debug;
use crate::runtime::{Context, Phase};

/// Runs `script` on the VM's main coroutine; logs a failure to `log`.
pub fn run(vm: &Vm, script: &HookScript, log: Log) -> Result<(), Failed> {
    let state = vm.main();
    let base = state.top();
    state.push_traceback_handler();
    let result = script.load(vm).and_then(|()| match state.call(0, 0, base + 1) {
        Outcome::Done => Ok(()),
        Outcome::Yielded | Outcome::Failed(_) => Err(state.take_error()),
    });
    if let Err(reason) = &result {
        log.write_pieces(Level::Err, &[script.name.as_bytes(), b" error: ", reason]);
    }
    state.set_top(base);
    state.collect_garbage();
    result.map_err(|_| Failed)
}

/// This module's configuration in a worker's cycle; `None` in nginx's helper processes, whose VM is
/// closed.
pub fn worker_conf(cycle: Cycle) -> Option<&'static MainConf> {
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

/// Runs a worker's `script` for a fake request.
pub fn run_in_worker(
    main: &MainConf,
    script: &HookScript,
    phase: Phase,
    logs_to_cycle: bool,
    log_handler: Option<LogHandler>,
) -> Result<(), Failed> {
    let (Some(vm), Some(configuration)) = (main.vm(), main.hook_configuration.get()) else {
        return Ok(());
    };
    let origin = fake::Origin::of_worker(*configuration, logs_to_cycle);
    let request = fake::create(&origin, log_handler).map_err(|_| Failed)?;
    let context = Context::new(request, vm.clone(), phase);
    let result = match context.attach() {
        Ok(()) => {
            let _entered = MainCoroutine::enter(&context, phase);
            run(&vm, script, cycle_log())
        }
        Err(_) => Err(Failed),
    };
    fake::destroy(request);
    result
}

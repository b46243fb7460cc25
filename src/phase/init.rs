//! `init_by_lua*`: runs in the master, as soon as the configuration and its shared zones are ready.

use super::hook;
use super::synchronous::Failed;
use crate::config::MainConf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::Log;

/// Loads the code, if there is any, and does not run it; a failure is logged.
pub fn check(main: &MainConf, log: Log) -> Result<(), Failed> {
    let script = main.written.borrow().init.clone();
    let (Some(script), Some(vm)) = (script, main.vm()) else { return Ok(()) };
    hook::check(&vm, &script, log)
}

/// Runs the code, if there is any, for the new `cycle`; a failure stops nginx, or the reload.
pub fn run(main: &MainConf, cycle: Cycle, log: Log) -> Result<(), Failed> {
    let script = main.written.borrow().init.clone();
    let (Some(script), Some(vm)) = (script, main.vm()) else { return Ok(()) };
    cycle.make_current(|| hook::run(&vm, &script, log))
}

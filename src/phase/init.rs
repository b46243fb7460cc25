//! `init_by_lua*`: runs in the master, as soon as the configuration and its shared zones are ready.

use super::hook;
use super::synchronous::Failed;
use crate::config::MainConf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::Log;

/// Runs the code, if there is any, for the new `cycle`; a failure stops nginx, or the reload.
pub fn run(main: &MainConf, cycle: Cycle, log: Log) -> Result<(), Failed> {
    let script = main.written.borrow().init.clone();
    let (Some(script), Some(vm)) = (script, main.vm()) else { return Ok(()) };
    cycle.make_current(|| hook::run(&vm, &script, log))
}

//! `init_by_lua*`: runs in the master, as soon as the configuration and its shared zones are there.

use super::hook;
use super::synchronous::Failed;
use crate::config::MainConf;
use crate::nginx::log::Log;
use crate::nginx::process;
use crate::nginx::sys::ngx_cycle_t;

/// Runs the code, where there is any, for the new `cycle`; a failure stops nginx, or the reload.
pub fn run(main: &MainConf, cycle: *mut ngx_cycle_t, log: Log) -> Result<(), Failed> {
    let script = main.written.borrow().init.clone();
    let (Some(script), Some(vm)) = (script, main.vm()) else { return Ok(()) };
    process::within_cycle(cycle, || hook::run(&vm, &script, log))
}

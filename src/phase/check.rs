//! `nginx -t`: compiles all code that the configuration names, and tells of every fault, not only
//! the first.

use super::init;
use super::synchronous::Failed;
use crate::config::MainConf;
use crate::nginx::Level;
use crate::nginx::core::log::Log;

/// Compiles the code and does not run it; faults are logged.
pub fn run(main: &MainConf, log: Log) -> Result<(), Failed> {
    let mut result = init::check(main, log);
    let Some(vm) = main.vm() else { return result };
    let checks_code = main.check_code();
    for unchecked in main.unchecked.take() {
        if !checks_code && !unchecked.is_listed {
            continue;
        }
        let mut state = vm.main();
        let base = state.top();
        if let Err(error) = unchecked.code.load(&vm, state) {
            log.write_pieces(Level::Emerg, &[&error.message(), b" in ", &unchecked.place]);
            result = Err(Failed);
        }
        state.set_top(base);
    }
    result
}

//! `exit_worker_by_lua*`: runs when a worker ends, after its last request and timer.

use super::hook;
use crate::nginx::core::cycle::Cycle;
use crate::runtime::Phase;

/// Runs the code, if there is any. A failure is logged and changes nothing.
pub fn run(cycle: Cycle) {
    let Some(main) = hook::worker_conf(cycle) else { return };
    let script = main.written.borrow().exit_worker.clone();
    if let Some(script) = script {
        let _logged = hook::run_in_worker(main, &script, Phase::ExitWorker, true, None);
    }
}

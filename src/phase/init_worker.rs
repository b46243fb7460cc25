//! `init_worker_by_lua*`: runs when a worker starts. The worker accepts connections as soon as the
//! code ends or waits; what waits goes on in the event loop, like a timer's handler.

use super::hook;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::process;
use crate::nginx::http::log_context;
use crate::runtime::{Phase, watch};

/// Runs the code, if there is any. A failure is logged and changes nothing.
pub fn run(cycle: Cycle) {
    let Some(main) = hook::worker_conf(&cycle) else { return };
    if main.vm().is_none() {
        return;
    }
    watch::process_starts(main);
    if main.sa_restart() {
        process::set_sa_restart();
    }
    let script = main.written.borrow().init_worker.clone();
    if let Some(script) = script {
        let handler = Some(log_context::init_worker as _);
        let _waits = hook::start_in_worker(main, &script, Phase::InitWorker, false, handler);
    }
}

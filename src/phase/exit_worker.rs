//! `exit_worker_by_lua*`: runs when a worker ends, after its last request and timer. nginx's event
//! loop has ended by then; for code that waits it goes on, for a limited time.

use super::hook;
use crate::nginx::Level;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::cycle_log;
use crate::nginx::core::worker;
use crate::nginx::event::rounds;
use crate::ngx_log;
use crate::runtime::{Context, Phase, ends, fake_request};

/// How long the code may wait where `worker_shutdown_timeout` does not say it, in milliseconds.
const LONGEST_WAIT: usize = 5_000;

/// Runs the code, if there is any. A failure is logged and changes nothing.
pub fn run(cycle: Cycle) {
    let Some(main) = hook::worker_conf(&cycle) else { return };
    let script = main.written.borrow().exit_worker.clone();
    let Some(script) = script else { return };
    let Some(waiting) = hook::start_in_worker(main, &script, Phase::ExitWorker, true, None) else {
        return;
    };
    let limit = worker::shutdown_timeout().unwrap_or(LONGEST_WAIT);
    if !rounds::run_until(cycle, limit, || waiting.is_released()) {
        give_up(&waiting, script.name, limit);
    }
}

/// Ends code that waits for too long.
fn give_up(waiting: &std::rc::Rc<Context>, directive: &str, limit: usize) {
    ngx_log!(
        cycle_log(),
        Level::Err,
        "{directive}: the code still waits, and is ended after {limit} ms or by a signal"
    );
    let rc = ends::abort(waiting);
    fake_request::finalize(waiting, rc);
}

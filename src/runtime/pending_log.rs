//! Code of `log_by_lua*` that waits: its request lives on after nginx has ended it, until the code ends.

use std::cell::Cell;
use std::rc::Rc;

use super::Context;
use crate::config::Phase;
use crate::nginx::Level;
use crate::nginx::core::log::Log;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::detached;
use crate::nginx::http::detached::OwnLog;
use crate::{ngx_log, own_thread};

own_thread! {
    /// The requests of this worker that live on.
    static PENDING: Cell<usize> = Cell::new(0);
}

/// Counts a request, until its pool is destroyed.
struct Counted;

impl Counted {
    fn new() -> Counted {
        PENDING.set(PENDING.get() + 1);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        PENDING.set(PENDING.get().saturating_sub(1));
    }
}

/// Why code of the log phase cannot wait.
pub enum Refusal {
    /// As many as this wait already.
    TooMany(usize),
    /// It is a subrequest's, whose memory belongs to the main request.
    Subrequest,
    NoMemory,
}

impl From<OutOfMemory> for Refusal {
    fn from(_: OutOfMemory) -> Refusal {
        Refusal::NoMemory
    }
}

impl Refusal {
    /// Writes the line about the code that has been ended.
    pub fn log(&self, log: Log) {
        let name = Phase::Log.failed_name();
        match self {
            Refusal::TooMany(max) => ngx_log!(
                log,
                Level::Err,
                "failed to run {name}: the code waits, but {max} lua_max_pending_logs are not enough"
            ),
            Refusal::Subrequest => ngx_log!(
                log,
                Level::Err,
                "failed to run {name}: the code of a subrequest must not wait"
            ),
            Refusal::NoMemory => {
                ngx_log!(log, Level::Err, "failed to run {name}: no memory to wait")
            }
        }
    }
}

/// Has the request of `context`, whose log code waits and has logged to `log` so far, live on until the
/// code ends.
pub fn keep(context: &Rc<Context>, log: &OwnLog) -> Result<(), Refusal> {
    let request = context.request();
    if request.is_subrequest() {
        return Err(Refusal::Subrequest);
    }
    let max = context.main_conf().max_pending_logs();
    if PENDING.get() >= max {
        return Err(Refusal::TooMany(max));
    }
    request.pool().own(Counted::new())?;
    detached::detach::<Context>(request, log)?;
    context.detached.set(true);
    // An event continues the code at once, as in the content phase.
    context.enter(Phase::Content);
    Ok(())
}

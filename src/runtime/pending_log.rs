//! Code of `log_by_lua*` that waits: its request lives on after nginx has ended it, until the code
//! ends.

use std::cell::Cell;
use std::rc::Rc;

use super::{Context, fake_request};
use crate::config::Phase;
use crate::nginx::core::log::Log;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::detached::{self, OwnLog};
use crate::nginx::{Level, Status};
use crate::{ngx_log, own_thread};

own_thread! {
    /// The requests and subrequests of this worker whose log code waits.
    static PENDING: Cell<usize> = Cell::new(0);
}

/// Counts a request, until its code has ended. (A subrequest's pool is the main request's, which may last.)
pub(super) struct Counted;

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
            Refusal::NoMemory => {
                ngx_log!(log, Level::Err, "failed to run {name}: no memory to wait")
            }
        }
    }
}

/// Ends the request of `context`, whose log code has ended.
pub(super) fn end(context: &Context) {
    let request = context.request();
    context.pending_log.take();
    if request.is_subrequest() {
        request.main().finalize(Status::DONE);
    } else {
        fake_request::destroy(context);
    }
}

/// Has the request of `context`, whose log code waits and has logged to `log` so far, live on until
/// the code ends.
pub fn keep(context: &Rc<Context>, log: &OwnLog) -> Result<(), Refusal> {
    let request = context.request();
    let max = context.main_conf().max_pending_logs();
    if PENDING.get() >= max {
        return Err(Refusal::TooMany(max));
    }
    let counted = Counted::new();
    if request.is_subrequest() {
        // Its memory is the main request's, which this reference keeps, as nginx does for
        // background subrequests.
        request.add_reference();
    } else {
        let owned = detached::detach::<Context>(request, log)?;
        context.fake_end.owned.replace(Some(owned));
    }
    context.pending_log.set(Some(counted));
    context.detach();
    // An event continues the code at once, as in the content phase.
    context.enter(Phase::Content);
    Ok(())
}

//! What comes of a response while code of its filters waits. It is kept in its place among the
//! subrequests that are made meanwhile, because their output must not overtake it.

use crate::api::subrequest;
use crate::nginx::core::chain::CopiedChain;
use crate::nginx::core::lend::Lend;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::filters::HOLD;
use crate::nginx::http::postponed::{List, Place, Postponed};
use crate::nginx::http::subrequest::has_postponed;
use crate::nginx::{Chain, Status};
use crate::runtime::Context;
use crate::runtime::filter::Waiting;

/// Code of a filter starts to wait.
pub fn begin(context: &Context) -> Result<(), OutOfMemory> {
    let request = context.request();
    context.filter.given.lend(|given| given.outlast_call())?;
    if subrequest::is_captured(request) {
        return subrequest::begin_keeping(request);
    }
    let place = match context.filter.place.get() {
        Some(place) => place,
        None => Place::new(request)?,
    };
    context.filter.place.set(Some(place));
    place.open();
    Ok(())
}

/// Keeps `output`.
pub fn keep(context: &Context, output: Chain) -> Result<(), OutOfMemory> {
    let request = context.request();
    match context.filter.place.get() {
        Some(place) => place.keep(output),
        None => subrequest::keep(request, output),
    }
}

/// Whether output that comes now has its place behind that of subrequests, and so behind what
/// waits.
pub fn is_behind_subrequests(context: &Context) -> bool {
    match context.filter.place.get() {
        Some(place) => place.has_subrequests(),
        None => subrequest::has_more(context.request()),
    }
}

/// What has been kept of a response.
pub struct Kept {
    first: CopiedChain,
    /// What follows of a response that is not captured.
    list: List,
}

/// The code does not wait any more: takes what has been kept, which has to pass the filters after
/// what the code itself has held back.
pub fn end(context: &Context) -> Kept {
    let request = context.request();
    match context.filter.place.get() {
        Some(place) => {
            let (first, list) = place.close();
            Kept { first, list }
        }
        None => {
            let first = subrequest::next_kept(request).unwrap_or_default();
            Kept { first, list: List::EMPTY }
        }
    }
}

impl Kept {
    /// Whether subrequests of the response are still to come.
    pub fn has_subrequests(&self, context: &Context) -> bool {
        has_postponed(context.request()) || self.list.has_subrequests()
    }

    /// Passes it on, until code of a filter waits again: the rest stays kept.
    pub fn pass_on(mut self, context: &Context) -> Status {
        let request = context.request();
        while context.filter.waits.get() == Waiting::Nothing {
            let Some(next) = self.next(context) else { return Status::OK };
            let passed = match next {
                Postponed::Output(chain) => {
                    let rc = HOLD.next_body(request, chain.whole());
                    if rc.is_failure() {
                        super::filter::consume(chain.whole());
                    }
                    chain.free();
                    !rc.is_failure()
                }
                Postponed::Subrequest(entry) => entry.attach(),
            };
            if !passed {
                self.drop_output(context);
                return Status::ERROR;
            }
        }
        self.list.put_back();
        Status::AGAIN
    }

    /// Drops the response's own output; its subrequests go on.
    pub fn drop_output(mut self, context: &Context) {
        while let Some(next) = self.next(context) {
            match next {
                Postponed::Output(chain) => {
                    super::filter::consume(chain.whole());
                    chain.free();
                }
                Postponed::Subrequest(entry) => {
                    let _ = entry.attach();
                }
            }
        }
    }

    /// The next piece that is not empty.
    fn next(&mut self, context: &Context) -> Option<Postponed> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            return Some(Postponed::Output(first));
        }
        loop {
            let next = match context.filter.place.get() {
                Some(_) => self.list.next()?,
                None => Postponed::Output(subrequest::next_kept(context.request())?),
            };
            if !matches!(&next, Postponed::Output(chain) if chain.is_empty()) {
                return Some(next);
            }
        }
    }
}

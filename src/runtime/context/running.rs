//! The contexts whose code is running, that is, on the C stack.

use std::rc::Rc;

use super::Context;
use crate::config::Phase;
use crate::lua::openresty::RunningFor;
use crate::nginx::core::frames::Frames;
use crate::nginx::{Request, forget_header_indexes};
use crate::own_thread;
use crate::runtime::watch::{self, Watch};

own_thread! {
    static RUNNING: Frames<Context> = Frames::new();
}

impl Context {
    /// Does `work`, which runs the context's code.
    #[inline(always)]
    pub fn run_code<R>(self: &Rc<Self>, work: impl FnOnce() -> R) -> R {
        match self.used().and_then(|rare| rare.filter_run.get()) {
            None => self.run_own_code(work),
            Some(run) => run.continue_code(self, work),
        }
    }

    /// As [`Context::run_code`], where the code sees this context itself.
    #[inline(always)]
    pub fn run_own_code<R>(self: &Rc<Self>, work: impl FnOnce() -> R) -> R {
        watch::interrupts();
        RUNNING.within(self, || {
            let _forget = ForgetIndexes;
            let _request = RunningFor::request(self.request());
            let mut watch = Watch::new();
            watch.begin(self);
            work()
        })
    }

    /// The context is in `phase` from now on, whose code may interrupt that of the phase that it was in, which
    /// is returned.
    #[inline(always)]
    pub fn replace_phase(&self, phase: Phase) -> Phase {
        watch::interrupts();
        self.phase.replace(phase)
    }

    /// Calls `work` with the context whose code runs, if any does.
    #[inline(always)]
    pub fn with_innermost<R>(work: impl FnOnce(Option<&Rc<Context>>) -> R) -> R {
        RUNNING.with_innermost(work)
    }

    /// Whether code of any request is on the C stack.
    pub fn any_runs() -> bool {
        !RUNNING.is_empty()
    }

    /// The context of code for `request` that is on the C stack. For callers that find nginx's slot
    /// empty, because nginx has cleared it meanwhile.
    pub fn running(request: Request) -> Option<Rc<Context>> {
        Context::find_running(|context| context.request() == request)
    }

    /// The innermost context for which `is_it` is true of those whose code is on the C stack.
    pub(super) fn find_running(is_it: impl Fn(&Context) -> bool) -> Option<Rc<Context>> {
        RUNNING.find(is_it)
    }
}

/// Forgets the indexes of headers when it is dropped, after a run of code.
struct ForgetIndexes;

impl Drop for ForgetIndexes {
    #[inline(always)]
    fn drop(&mut self) {
        forget_header_indexes();
    }
}

//! The driver of code that cannot wait: `set_by_lua*`, `ssl_session_store_by_lua*`,
//! `proxy_ssl_*_by_lua*`.
//!
//! Their code runs on the VM's main coroutine, in a protected call. However the call ends, the
//! coroutine's stack and request and the context's phase are restored, so that such phases may
//! nest.

use std::rc::Rc;

use crate::config::Script;
use crate::lua::openresty::OnMain;
use crate::lua::{LuaFailure, Outcome, State};
use crate::nginx::{Level, Request, Status};
use crate::runtime::context::End;
use crate::runtime::{Context, Phase, PhaseSet, counters};

/// The script has failed, which has been logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

/// Runs `script` in `phase`, and passes its result (one value, on top of the stack) to `take`.
///
/// `push_arguments` pushes the script's arguments and returns their number.
pub fn run<T>(
    context: &Rc<Context>,
    script: &Script,
    phase: Phase,
    push_arguments: impl FnOnce(State) -> Result<i32, Vec<u8>>,
    take: impl FnOnce(State) -> T,
) -> Result<T, Failed> {
    let before = MainCoroutine::enter(context, phase);
    counters::count_run(phase);
    context.run_code(|| call(context, script, phase, before.top, push_arguments, take))
}

/// Calls `script` on the main coroutine, whose stack has `top` values.
#[inline(always)]
fn call<T>(
    context: &Rc<Context>,
    script: &Script,
    phase: Phase,
    top: i32,
    push_arguments: impl FnOnce(State) -> Result<i32, Vec<u8>>,
    take: impl FnOnce(State) -> T,
) -> Result<T, Failed> {
    let (vm, request) = (context.vm(), context.request());
    let mut state = vm.main();
    state.push_traceback_handler();
    if let Err(error) = script.load(vm, state, request) {
        counters::count_load_error(phase);
        super::runner::load_failed(request, error);
        return Err(Failed);
    }
    let arguments = match push_arguments(state) {
        Ok(arguments) => arguments,
        Err(reason) => {
            log_error(request, &reason, phase);
            return Err(Failed);
        }
    };
    match state.call(arguments, 1, top + 1) {
        Outcome::Done => Ok(take(state)),
        outcome => {
            if outcome == Outcome::Failed(LuaFailure::Memory) {
                vm.release_memory_soon();
            }
            if !has_exited(context, phase) {
                if let Outcome::Failed(failure) = outcome {
                    counters::count_failure(phase, failure);
                }
                log_error(request, state.error_text(), phase);
            }
            Err(Failed)
        }
    }
}

/// Whether the code was cut off by `ngx.exit`, which yields in some phases: in these, that ends the
/// protected call with an error that says nothing.
fn has_exited(context: &Context, phase: Phase) -> bool {
    PhaseSet::UPSTREAM_HANDSHAKE.has(phase)
        && context.ending.end.with(|end| matches!(end, Some(End::Exit(_))))
}

/// A script without arguments, whose result does not matter.
pub fn run_plainly(context: &Rc<Context>, script: &Script, phase: Phase) -> Result<(), Failed> {
    run(context, script, phase, |_| Ok(0), drop)
}

pub fn log_error(request: Request, reason: &[u8], phase: Phase) {
    // The C module runs the code of an upstream's handshake as a thread.
    if PhaseSet::UPSTREAM_HANDSHAKE.has(phase) {
        let pieces = [b"lua entry thread aborted: runtime error: ", reason];
        return request.log().write_pieces(Level::Err, &pieces);
    }
    let pieces = [b"failed to run ", phase.failed_name().as_bytes(), b": ", reason];
    request.log().write_pieces(Level::Err, &pieces);
}

impl From<Failed> for Status {
    fn from(_: Failed) -> Status {
        Status::ERROR
    }
}

/// The previous state of the main coroutine and the context, which is restored on drop.
pub struct MainCoroutine<'a> {
    context: &'a Context,
    state: State,
    phase: Phase,
    top: i32,
    _running: OnMain,
}

impl MainCoroutine<'_> {
    /// Has the main coroutine run for `context`, in `phase`, until the value is dropped.
    pub fn enter(context: &Context, phase: Phase) -> MainCoroutine<'_> {
        let state = context.main_state();
        MainCoroutine {
            context,
            state,
            phase: context.replace_phase(phase),
            top: state.top(),
            _running: OnMain::run(state, context.request()),
        }
    }
}

impl Drop for MainCoroutine<'_> {
    fn drop(&mut self) {
        self.context.phase.set(self.phase);
        self.context.vm().forget_globals();
        self.state.set_top(self.top);
    }
}

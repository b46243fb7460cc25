//! What surrounds each run of code: the time that it takes is measured (`lua_status`), a watchdog
//! sees how long it runs without waiting (`lua_warn_slice`, `lua_max_slice`), and samples of it are
//! taken (`lua_profile`). Where nothing asks for any of these, all of it is one test of a word.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::context::Context;
use super::counters::{self, Stopwatch};
use super::profile;
use crate::config::MainConf;
use crate::lua::frames::describe_frames;
use crate::lua::interrupt::{self, Running};
use crate::lua::{State, openresty};
use crate::nginx::Level;
use crate::nginx::core::log::{Line, Log, cycle_log, log_cycle};
use crate::nginx::core::watchdog::{self, Limits};
use crate::own_thread;

own_thread! {
    /// Whether runs are measured, watched, or sampled.
    static ON: Cell<bool> = Cell::new(false);
    static WATCHED: Cell<bool> = Cell::new(false);
    /// `lua_warn_slice`, in milliseconds.
    static WARN: Cell<usize> = Cell::new(0);
    /// How many runs are on the C stack: a filter's, within a handler that makes output.
    static DEPTH: Cell<usize> = Cell::new(0);
}

/// To be called when `lua_status`, `lua_profile` or the watchdog begins to ask for runs of code, or
/// stops: from now on, runs are surrounded if any of them does.
pub fn update() {
    ON.set(WATCHED.get() || counters::own().is_some() || profile::takes_samples());
}

/// Surrounds a run of code until it is dropped.
pub struct Watch<'a>(Option<Run<'a>>);

struct Run<'a> {
    context: &'a Rc<Context>,
    _time: Stopwatch,
    slice: Option<Slice>,
}

/// A run that the watchdog sees, and LuaJIT's profiler.
struct Slice {
    own: Running,
    outer: Running,
}

/// The context's code runs from now on.
#[inline(always)]
pub fn begin(context: &Rc<Context>) -> Watch<'_> {
    Watch(ON.get().then(|| Run::begin(context)))
}

impl Run<'_> {
    #[inline(never)]
    fn begin(context: &Rc<Context>) -> Run<'_> {
        let sampled = profile::takes_samples();
        if sampled {
            profile::settle();
        }
        let slice = (sampled || WATCHED.get()).then(|| {
            if DEPTH.replace(DEPTH.get() + 1) == 0 {
                watchdog::enter();
            }
            let own = Running::of(context.main_state());
            Slice { own, outer: own.begin() }
        });
        Run { context, _time: counters::time(context.phase.get()), slice }
    }

    #[inline(never)]
    fn end(&mut self) {
        let Some(Slice { own, outer }) = self.slice.take() else { return };
        profile::settle();
        outer.begin();
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            watchdog::leave();
        }
        // A limit that has been reached holds for the whole stack of runs in one VM: it is
        // withdrawn after the outermost.
        if own != outer && interrupt::withdraw(own) {
            let what = "in compiled code or in a C function";
            warn(
                self.context.request().log(),
                format_args!("lua code ran for {} {what}", LimitShown),
            );
        }
    }
}

impl Drop for Watch<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(run) = &mut self.0 {
            run.end();
        }
    }
}

/// The limit of `lua_warn_slice`, in words.
struct LimitShown;

impl fmt::Display for LimitShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} ms without waiting", WARN.get())
    }
}

fn warn(log: Log, text: fmt::Arguments) {
    log.write_formatted(Level::Warn, text);
}

/// Logs where the code on `state` is, which has been interrupted.
fn note(state: State) {
    let mut line = Line::of(format_args!("lua code has been running for {LimitShown}"));
    line.append(b"\nstack traceback:");
    describe_frames(state, &mut line);
    let request = openresty::running_request(state);
    request.map_or_else(cycle_log, |request| request.log()).write(Level::Warn, line.bytes());
}

/// Has this worker watched, if its configuration asks for that.
pub fn process_starts(main: &MainConf) {
    let written = main.written.borrow();
    let limit = |milliseconds: Option<usize>| milliseconds.filter(|limit| *limit > 0);
    let (first, second) = (limit(written.warn_slice), limit(written.max_slice));
    if first.is_none() && second.is_none() {
        return;
    }
    WARN.set(first.unwrap_or(0));
    interrupt::prepare(note, ERROR);
    let limits = Limits {
        first: first.map(|limit| Duration::from_millis(limit as u64)),
        second: second.map(|limit| Duration::from_millis(limit as u64)),
        tell: interrupt::INTERRUPT,
        last_line: LAST_LINE,
    };
    if !watchdog::start(limits) {
        return log_cycle(
            Level::Alert,
            b"cannot start the thread for lua_warn_slice and lua_max_slice",
        );
    }
    WATCHED.set(true);
    update();
}

/// The error of code that has run for too long.
const ERROR: &str = "the code ran for longer than lua_max_slice without waiting";
/// What is logged where that does not end it.
const LAST_LINE: &str = "lua code runs for longer than lua_max_slice in compiled code or in a C function, \
                         which cannot be interrupted: this worker ends, and the master starts another one";

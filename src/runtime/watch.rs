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
use super::task::Task;
use crate::config::{MainConf, Phase};
use crate::lua::frames::describe_frames;
use crate::lua::interrupt::{self, Running};
use crate::lua::registry::SLICE_ENDED;
use crate::lua::{State, openresty};
use crate::nginx::Level;
use crate::nginx::core::log::{Line, Log, cycle_log, log_cycle};
use crate::nginx::core::watchdog::{self, Limits};
use crate::own_thread;

own_thread! {
    /// Who asks for runs of code: the bits below.
    static ASKED: Cell<u8> = Cell::new(0);
    static WATCHED: Cell<bool> = Cell::new(false);
    /// `lua_warn_slice`, in milliseconds.
    static WARN: Cell<usize> = Cell::new(0);
    /// How many runs are on the C stack: a filter's, within a handler that makes output.
    static DEPTH: Cell<usize> = Cell::new(0);
}

/// `lua_status` does, for their time; the watchdog; and `lua_profile`, for samples.
const TIME: u8 = 1;
const LIMITS: u8 = 2;
const SAMPLES: u8 = 4;

/// To be called when `lua_status`, `lua_profile` or the watchdog begins to ask for runs of code, or
/// stops: from now on, runs are surrounded if any of them does.
pub fn update() {
    let bit = |asks: bool, bit: u8| if asks { bit } else { 0 };
    ASKED.set(
        bit(counters::own().is_some(), TIME)
            | bit(WATCHED.get(), LIMITS)
            | bit(profile::takes_samples(), SAMPLES),
    );
}

/// Surrounds a run of code until it is dropped.
pub struct Watch<'a>(Option<Run<'a>>);

struct Run<'a> {
    context: &'a Rc<Context>,
    /// Who has asked for it.
    asked: u8,
    phase: Phase,
    time: Stopwatch,
    slice: Slice,
}

/// A run that the watchdog sees, and LuaJIT's profiler.
#[derive(Clone, Copy)]
struct Slice {
    own: Running,
    outer: Running,
}

impl<'a> Watch<'a> {
    /// Of nothing yet.
    pub const fn new() -> Watch<'a> {
        Watch(None)
    }

    /// The context's code runs from now on. [`interrupts`] must have been called before the context
    /// was the innermost one.
    #[inline(always)]
    pub fn begin(&mut self, context: &'a Rc<Context>) {
        let asked = ASKED.get();
        if asked != 0 {
            self.begin_run(context, asked);
        }
    }

    #[inline(never)]
    fn begin_run(&mut self, context: &'a Rc<Context>, asked: u8) {
        self.0 = Some(Run::begin(context, asked));
    }
}

impl Run<'_> {
    #[inline(always)]
    fn begin(context: &Rc<Context>, asked: u8) -> Run<'_> {
        let is_seen = asked & (LIMITS | SAMPLES) != 0;
        let slice = if is_seen { Slice::begin(context) } else { Slice::NONE };
        let time = if asked & TIME != 0 { Stopwatch::start() } else { Stopwatch::NONE };
        Run { context, asked, phase: context.phase.get(), time, slice }
    }

    #[inline(always)]
    fn end(&self) {
        if self.asked & (LIMITS | SAMPLES) != 0 {
            self.slice.end(self.context);
        }
        if self.asked & TIME != 0 {
            self.time.stop(self.phase);
        }
    }
}

impl Drop for Watch<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(run) = &self.0 {
            run.end();
        }
    }
}

/// The threads of a context that are ready run one after another, until this is dropped.
pub struct Turns<'a>(Option<(&'a Rc<Context>, Slice)>);

/// To be called after code of the context has run, if other threads of it are ready now: for the
/// watchdog, nothing has waited, so all of them are one slice. Otherwise code that only yields would
/// never reach a limit.
#[inline]
pub fn threads_take_turns(context: &Rc<Context>) -> Turns<'_> {
    let are_watched = ASKED.get() & LIMITS != 0 && context.has_posted();
    Turns(are_watched.then(|| (context, Slice::go_on(context))))
}

impl Turns<'_> {
    /// Before `task` runs, with `values` on its stack; returns how many it runs with. Compiled code
    /// that only yields does not see that it is to end, so it gets its error here.
    #[inline]
    pub fn next(&self, task: &Task, values: i32) -> i32 {
        if self.0.is_none() || !interrupt::is_ending() || task.state().reserve(1).is_err() {
            return values;
        }
        task.state().push_registered(SLICE_ENDED);
        task.propagates_error.set(true);
        0
    }
}

impl Drop for Turns<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((context, slice)) = self.0 {
            slice.end(context);
        }
    }
}

/// The code that runs, if any does, is about to be interrupted by code of another context, or of the
/// same one in another phase: samples that nobody has taken are still its own.
#[inline(always)]
pub(super) fn interrupts() {
    if ASKED.get() & SAMPLES != 0 {
        profile::settle();
    }
}

impl Slice {
    const NONE: Slice = Slice { own: Running::NONE, outer: Running::NONE };

    #[inline(never)]
    fn begin(context: &Context) -> Slice {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            watchdog::enter();
            interrupt::begin();
        }
        let own = Running::of(context.main_state());
        Slice { own, outer: own.begin() }
    }

    /// As [`Slice::begin`], where nothing but the last slice has run: it goes on.
    #[cold]
    fn go_on(context: &Context) -> Slice {
        let own = Running::of(context.main_state());
        let outer = own.begin();
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            watchdog::enter_again();
            interrupt::go_on(own);
        }
        Slice { own, outer }
    }

    #[inline(never)]
    fn end(self, context: &Context) {
        let Slice { own, outer } = self;
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
            let log = if context.is_released() { cycle_log() } else { context.request().log() };
            warn(log, format_args!("lua code ran for {} {what}", LimitShown));
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
    interrupt::prepare(note);
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

/// What is logged where that does not end it.
const LAST_LINE: &str = "lua code runs for longer than lua_max_slice in compiled code or in a C function, \
                         which cannot be interrupted: this worker ends, and the master starts another one";

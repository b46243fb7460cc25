//! `ngx.pipe`: programs that Lua code starts, writes to, reads from and waits for.
//!
//! lua-resty-core has a process's key, not an address: the key finds nothing once Lua has collected
//! the process, or the request that started it has ended. Each wait is an operation of its task. A
//! process without an owner is killed, and reaped once it has exited.

mod failure;
mod ffi;
mod reader;
mod stream;
mod waiting;
mod writer;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::lua::State;
use crate::nginx::Level;
use crate::nginx::core::allocator;
use crate::nginx::core::child;
use crate::nginx::core::child::{Child, Exit};
use crate::nginx::core::child_exec::Program;
use crate::nginx::core::log::cycle_log;
use crate::runtime::{Context, Hold, Keyed, Resource, Task, scheduler};
use crate::{ngx_log, own_thread};
use failure::PipeFailure;
use reader::Reader;
use waiting::{PipeWait, Place};
use writer::Writer;

/// A program that is running, or has exited with output or a status that nobody has read.
struct Process {
    child: Rc<Child>,
    stdin: Rc<Writer>,
    stdout: Rc<Reader>,
    /// `None` if stderr goes to stdout.
    stderr: Option<Rc<Reader>>,
    /// Its status has been returned, and everything is closed.
    closed: Cell<bool>,
    waiting: PipeWait<Process>,
    /// Its key in [`PROCESSES`].
    key: Cell<u64>,
    /// Its place among what its request holds.
    hold: RefCell<Option<Hold>>,
}

own_thread! {
    static PROCESSES: Keyed<Rc<Process>> = Keyed::new();
}

/// Starts a program for the request of `context`, and returns its process id and key. It is killed when
/// the request ends. `merge` sends its stderr to stdout; `buffer_size` is the most that one read takes,
/// in bytes.
fn spawn(
    context: &Rc<Context>,
    program: &Program,
    merge: bool,
    buffer_size: usize,
) -> Result<(i32, u64), PipeFailure> {
    allocator::check().and_then(|()| PROCESSES.reserve()).map_err(|_| PipeFailure::NO_MEMORY)?;
    // Before the program starts: without memory for them, it would have no owner.
    let buffer = reader::buffer(buffer_size)?;
    let error_buffer = if merge { Vec::new() } else { reader::buffer(buffer_size)? };
    let (child, streams) =
        child::spawn(program, merge).map_err(|reason| PipeFailure(reason.into()))?;
    let process = Rc::new_cyclic(|this: &Weak<Process>| Process {
        child,
        stdin: Writer::new(streams.stdin),
        stdout: Reader::new(streams.stdout, buffer),
        stderr: streams.stderr.map(|stderr| Reader::new(stderr, error_buffer)),
        closed: Cell::new(false),
        waiting: PipeWait::new(this, time_out, exited),
        key: Cell::new(0),
        hold: RefCell::default(),
    });
    let (pid, ended) = (process.child.pid(), Rc::downgrade(&process));
    process.child.on_exit(move || exited(&ended));
    let key = PROCESSES.insert(process.clone());
    process.key.set(key);
    let resource: Weak<dyn Resource> = Rc::downgrade(&process) as Weak<dyn Resource>;
    let Ok(hold) = context.hold(resource) else {
        destroy(key);
        return Err(PipeFailure::NO_MEMORY);
    };
    *process.hold.borrow_mut() = Some(hold);
    Ok((pid, key))
}

/// Kills the process and forgets its key, because it has no owner any more. Safe to call twice.
fn destroy(key: u64) {
    let Some(process) = PROCESSES.remove(key) else { return };
    drop(process.hold.take());
    process.kill_for_good();
    process.close();
    process.waiting.look_again();
}

/// The worker exits: its processes are killed.
pub fn destroy_all() {
    for process in PROCESSES.take() {
        process.kill_for_good();
        process.close();
    }
    child::forget_all();
}

/// How a process ended, in the C module's words; the flag is true for an exit with code 0.
fn told(exit: Exit) -> (bool, &'static std::ffi::CStr, i32) {
    match exit {
        Exit::Code(code) => (code == 0, c"exit", code),
        Exit::Signal(signal) => (false, c"signal", signal),
        Exit::Unknown => (false, c"unknown", -1),
    }
}

impl Resource for Process {
    fn close(&self) {
        destroy(self.key.get());
    }
}

impl Place for Process {
    fn waiting(&self) -> &PipeWait<Process> {
        &self.waiting
    }
}

impl Process {
    fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How the process exited, after which everything is closed; `None` if `task` has to yield, for
    /// at most that many milliseconds (0: for any time).
    fn wait(
        self: &Rc<Self>,
        task: &Rc<Task>,
        milliseconds: usize,
    ) -> Result<Option<Exit>, PipeFailure> {
        if self.is_closed() {
            return Err(PipeFailure::EXITED);
        }
        if self.waiting.is_busy() {
            return Err(PipeFailure::BUSY_WAITING);
        }
        let exit = self.child.exit();
        match exit {
            Some(_) => self.close(),
            None => self.waiting.begin(self, task, milliseconds),
        }
        Ok(exit)
    }

    /// Sends a signal.
    fn kill(&self, signal: i32) -> Result<(), PipeFailure> {
        self.child.kill(signal).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => PipeFailure::text("invalid signal"),
            Some(libc::ESRCH) => PipeFailure::EXITED,
            _ => error.into(),
        })
    }

    /// Sends SIGKILL, unless it has exited; logs a failure.
    fn kill_for_good(&self) {
        if self.child.exit().is_none()
            && let Err(PipeFailure(reason)) = self.kill(libc::SIGKILL)
        {
            let pid = self.child.pid();
            ngx_log!(cycle_log(), Level::Err, "lua pipe failed to kill process {pid}: {reason}");
        }
    }

    /// Closes all streams: tasks that wait for them get "closed".
    fn close(&self) {
        self.closed.set(true);
        self.stdin.close(PipeFailure::CLOSED);
        self.stdout.close(PipeFailure::CLOSED);
        if let Some(stderr) = &self.stderr {
            stderr.close(PipeFailure::CLOSED);
        }
    }
}

/// The process has exited, or has lost its owner: wakes the task that waits for it.
fn exited(process: &Weak<Process>) {
    let Some(process) = process.upgrade() else { return };
    let Some(task) = process.waiting.end() else { return };
    let Some(exit) = process.child.exit() else {
        return scheduler::wake_with(&task, 2, |state| push_failure(state, &PipeFailure::EXITED));
    };
    process.close();
    let (success, reason, status) = told(exit);
    scheduler::wake_with(&task, 3, |state| {
        state.push_bool(success);
        state.push_bytes(reason.to_bytes());
        state.push_integer(status.into());
    });
}

/// The process has not exited within the time that the task waits for it.
fn time_out(process: &Weak<Process>) {
    let Some(process) = process.upgrade() else { return };
    if let Some(task) = process.waiting.end() {
        scheduler::wake_with(&task, 2, |state| push_failure(state, &PipeFailure::TIMEOUT));
    }
}

/// Pushes nil and the text.
fn push_failure(state: State, PipeFailure(text): &PipeFailure) {
    state.push_nil();
    state.push_str(text);
}

//! `ngx.pipe`: programs that Lua code starts, writes to, reads from and waits for.
//!
//! lua-resty-core has a key, not an address: a key finds nothing once Lua has collected the process, or the
//! request that started it has ended. Each wait is an operation of its task. A process without an owner is
//! killed, and reaped once it has exited.

mod failure;
mod ffi;
mod reader;
mod stream;
mod waiting;
mod writer;

use std::cell::Cell;
use std::rc::{Rc, Weak};

use crate::lua::State;
use crate::nginx::core::allocator;
use crate::nginx::core::child;
use crate::nginx::core::child::{Child, Exit};
use crate::nginx::core::child_exec::Program;
use crate::nginx::core::log::cycle_log;
use crate::nginx::http::cleanup;
use crate::nginx::{Level, Request};
use crate::runtime::{Keyed, Task, scheduler};
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
}

own_thread! {
    static PROCESSES: Keyed<Rc<Process>> = Keyed::new();
}

/// Starts a program for `request`, and returns its process id and key. It is killed when the request ends.
fn spawn(
    request: Request,
    program: &Program,
    merge: bool,
    buffer_size: usize,
) -> Result<(i32, u64), PipeFailure> {
    allocator::check().and_then(|()| PROCESSES.reserve()).map_err(|_| PipeFailure::NO_MEMORY)?;
    let (child, streams) =
        child::spawn(program, merge).map_err(|reason| PipeFailure(reason.into()))?;
    let stdout = Reader::new(streams.stdout, buffer_size)?;
    let stderr = streams.stderr.map(|stderr| Reader::new(stderr, buffer_size)).transpose()?;
    let process = Rc::new_cyclic(|this: &Weak<Process>| Process {
        child,
        stdin: Writer::new(streams.stdin),
        stdout,
        stderr,
        closed: Cell::new(false),
        waiting: PipeWait::new(this, time_out, exited),
    });
    let (pid, ended) = (process.child.pid(), Rc::downgrade(&process));
    process.child.on_exit(move || exited(&ended));
    let key = PROCESSES.insert(process);
    if cleanup::on_request_end(request, move || destroy(key)).is_err() {
        destroy(key);
        return Err(PipeFailure::NO_MEMORY);
    }
    Ok((pid, key))
}

/// Kills the process, which has no owner any more. Safe to call twice.
fn destroy(key: u64) {
    let Some(process) = PROCESSES.remove(key) else { return };
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

impl Place for Process {
    fn waiting(&self) -> &PipeWait<Process> {
        &self.waiting
    }
}

impl Process {
    fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How the process exited, after which everything is closed; `None` if `task` has to yield, for at most that
    /// many milliseconds (0: for any time).
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

    fn kill(&self, signal: i32) -> Result<(), PipeFailure> {
        self.child.kill(signal).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => PipeFailure::text("invalid signal"),
            Some(libc::ESRCH) => PipeFailure::EXITED,
            _ => error.into(),
        })
    }

    fn kill_for_good(&self) {
        if self.child.exit().is_none()
            && let Err(PipeFailure(reason)) = self.kill(libc::SIGKILL)
        {
            let pid = self.child.pid();
            ngx_log!(cycle_log(), Level::Err, "lua pipe failed to kill process {pid}: {reason}");
        }
    }

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

fn time_out(process: &Weak<Process>) {
    let Some(process) = process.upgrade() else { return };
    if let Some(task) = process.waiting.end() {
        scheduler::wake_with(&task, 2, |state| push_failure(state, &PipeFailure::TIMEOUT));
    }
}

fn push_failure(state: State, PipeFailure(text): &PipeFailure) {
    state.push_nil();
    state.push_str(text);
}

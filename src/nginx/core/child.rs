//! Programs that a worker starts: fork and exec with three pipes, and how they end.
//!
//! nginx's SIGCHLD handler reaps every child of the process, and in a worker discards the status.
//! So from the first program on, SIGCHLD reaches nginx only while no program of ours runs. The
//! event loop learns from a program's pidfd that it has ended; then this child alone is reaped. A
//! program is kept in [`CHILDREN`] until then, even if Lua code has dropped it: until it is reaped,
//! no other process can get its id.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::rc::{Rc, Weak};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use codec::fallible;
use export::callback;

use crate::nginx::core::child_exec::{Program, exec};
use crate::nginx::core::log::{Level, Line, cycle_log};
use crate::nginx::core::strings::strerror;
use crate::nginx::event::descriptor::Descriptor;
use crate::ngx_log;
use crate::own_thread;

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Something else in this process reaped it.
    Unknown,
}

/// A program that was started.
pub struct Child {
    pid: libc::pid_t,
    file: Vec<u8>,
    /// The function that runs it, for the log.
    call: &'static str,
    pidfd: RefCell<Option<Box<Descriptor<Weak<Child>>>>>,
    /// The pipe through which the child reports why it could not run the program.
    failure: File,
    exit: Cell<Option<Exit>>,
    on_exit: RefCell<Option<Box<dyn FnOnce()>>>,
}

/// The worker's ends of a program's pipes, all non-blocking.
pub struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    /// `None` if stderr goes to stdout.
    pub stderr: Option<OwnedFd>,
}

own_thread! {
    /// The children that have not been reaped.
    static CHILDREN: RefCell<BTreeMap<libc::pid_t, Rc<Child>>> =
        RefCell::new(BTreeMap::new());
}

/// The number of children, those about to be forked included.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Starts `program`, with its stderr on its stdout where `merge` is set.
///
/// Errors: what failed, in the C module's words.
pub fn spawn(program: &Program, merge: bool) -> Result<(Rc<Child>, Streams), String> {
    let stdin = pipe()?;
    let stdout = pipe()?;
    let stderr = if merge { None } else { Some(pipe()?) };
    let failure = pipe()?;
    for end in [Some(&stdin.1), Some(&stdout.0), stderr.as_ref().map(|pipe| &pipe.0)] {
        end.map_or(Ok(()), set_nonblocking)?;
    }
    set_nonblocking(&failure.0)?;
    take_sigchld().map_err(|error| told("sigaction failed", &error))?;
    ALIVE.fetch_add(1, Ordering::SeqCst);
    let child_errors = stderr.as_ref().map_or(&stdout.1, |pipe| &pipe.1);
    let started = fork(program, [&stdin.0, &stdout.1, child_errors, &failure.1])
        .and_then(|pid| watch(pid, program, File::from(failure.0)));
    let child = started.inspect_err(|_| give_sigchld_back())?;
    let streams =
        Streams { stdin: stdin.1, stdout: stdout.0, stderr: stderr.map(|(worker, _)| worker) };
    Ok((child, streams))
}

fn told(what: &str, error: &io::Error) -> String {
    fallible::text(format_args!("{what}: {}", strerror(error)))
}

/// The read and the write end of a new pipe, both close-on-exec.
fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    let mut ends = [0; 2];
    // SAFETY: the array takes two descriptors; nothing else owns them.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(told("pipe failed", &io::Error::last_os_error()));
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

fn set_nonblocking(fd: &OwnedFd) -> Result<(), String> {
    // SAFETY: an open descriptor of a pipe, whose only status flag this is.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } {
        -1 => Err(told("fcntl(O_NONBLOCK) failed", &io::Error::last_os_error())),
        _ => Ok(()),
    }
}

/// The id of a new process that runs `program` with the given descriptors.
fn fork(program: &Program, fds: [&OwnedFd; 4]) -> Result<libc::pid_t, String> {
    let fds = fds.map(|fd| fd.as_raw_fd());
    // SAFETY: signals are blocked from before the fork until the child has reset their handlers;
    // the child does nothing but what is safe there (see `exec`).
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            exec(program, fds);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, null_mut());
        if pid < 0 { Err(told("fork failed", &error)) } else { Ok(pid) }
    }
}

/// Has the event loop watch the child `pid`; if that fails, the child is killed.
fn watch(pid: libc::pid_t, program: &Program, failure: File) -> Result<Rc<Child>, String> {
    let child = Rc::new(Child {
        pid,
        file: fallible::reason(program.file().to_bytes()),
        call: program.call(),
        pidfd: RefCell::new(None),
        failure,
        exit: Cell::new(None),
        on_exit: RefCell::default(),
    });
    let watched = pidfd(pid).and_then(|fd| {
        let descriptor = Descriptor::new(fd, Rc::downgrade(&child), |child: &Weak<Child>| {
            if let Some(child) = child.upgrade() {
                child.reap();
            }
        });
        let descriptor = descriptor.map_err(|_| String::from("no connection"))?;
        let waits = descriptor.wait_readable();
        waits.then_some(descriptor).ok_or_else(|| "failed to add read event".into())
    });
    match watched {
        Ok(descriptor) => *child.pidfd.borrow_mut() = Some(descriptor),
        Err(reason) => {
            // SAFETY: a child of ours that is not reaped yet; after SIGKILL, waiting for it is
            // short.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, null_mut(), 0);
            }
            return Err(reason);
        }
    }
    CHILDREN.borrow_mut().insert(pid, child.clone());
    Ok(child)
}

/// A descriptor that becomes readable when the process ends (Linux 5.3).
fn pidfd(pid: libc::pid_t) -> Result<OwnedFd, String> {
    // SAFETY: no precondition; the result is a new descriptor, closed on exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match c_int::try_from(fd) {
        // SAFETY: the new descriptor is ours.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(told("pidfd_open failed", &io::Error::last_os_error())),
    }
}

impl Child {
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// How it ended; `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        self.exit.get()
    }

    /// Calls `work` when the program ends, in place of what was set before.
    pub fn on_exit(&self, work: impl FnOnce() + 'static) {
        *self.on_exit.borrow_mut() = Some(Box::new(work));
    }

    /// Sends a signal; `ESRCH` where it has ended.
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        if self.exit.get().is_some() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // SAFETY: the child has not been reaped, so the id is still its own.
        match unsafe { libc::kill(self.pid, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The pidfd says that the child has ended: reaps it.
    fn reap(&self) {
        let mut status = 0;
        // SAFETY: a child of ours; this does not block.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        if pid == 0 {
            return;
        }
        self.exit.set(Some(match pid {
            -1 => Exit::Unknown,
            _ if libc::WIFSIGNALED(status) => Exit::Signal(libc::WTERMSIG(status)),
            _ => Exit::Code(libc::WEXITSTATUS(status)),
        }));
        ngx_log!(
            cycle_log(),
            Level::Notice,
            "signal {} (SIGCHLD) received from {}",
            libc::SIGCHLD,
            self.pid
        );
        self.log_failure();
        let descriptor = self.pidfd.borrow_mut().take();
        drop(descriptor);
        let owner = CHILDREN.borrow_mut().remove(&self.pid);
        give_sigchld_back();
        let on_exit = self.on_exit.borrow_mut().take();
        if let Some(on_exit) = on_exit {
            on_exit();
        }
        drop(owner);
    }

    /// Logs that the program could not be run.
    fn log_failure(&self) {
        let mut errno = [0; size_of::<c_int>()];
        if matches!((&self.failure).read(&mut errno), Ok(n) if n == errno.len()) {
            let mut line = Line::new();
            line.append(b"lua pipe child ");
            line.append(self.call.as_bytes());
            line.append(b"() failed while executing ");
            line.append(&self.file);
            cycle_log().write_errno(Level::Err, c_int::from_ne_bytes(errno), line.bytes());
        }
    }
}

/// Forgets all children, because the worker exits.
pub fn forget_all() {
    let children = CHILDREN.take();
    for child in children.values() {
        let descriptor = child.pidfd.borrow_mut().take();
        drop(descriptor);
        let on_exit = child.on_exit.borrow_mut().take();
        drop(on_exit);
    }
}

type SignalHandler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// nginx's handler of SIGCHLD.
static NGINX_HANDLER: OnceLock<SignalHandler> = OnceLock::new();

/// Installs [`on_sigchld`] in place of nginx's handler, once per process.
fn take_sigchld() -> io::Result<()> {
    let ours: SignalHandler = on_sigchld;
    // SAFETY: the action is read before it is written, and changed in nothing but the handler; a
    // handler with SA_SIGINFO has the type `SignalHandler`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, null_mut(), &mut action) != 0 {
            return Err(io::Error::last_os_error());
        }
        if action.sa_sigaction == ours as usize {
            return Ok(());
        }
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            let nginx = std::mem::transmute::<usize, SignalHandler>(action.sa_sigaction);
            let _first = NGINX_HANDLER.set(nginx);
        }
        action.sa_sigaction = ours as usize;
        action.sa_flags |= libc::SA_SIGINFO;
        match libc::sigaction(libc::SIGCHLD, &action, null_mut()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Does nothing while children of ours exist; otherwise calls nginx's handler.
#[callback(unguarded = "it runs in a signal handler, and calls nginx's")]
extern "C" fn on_sigchld(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if ALIVE.load(Ordering::SeqCst) == 0
        && let Some(nginx) = NGINX_HANDLER.get()
    {
        nginx(signal, info, context);
    }
}

/// Counts one child less. After the last one, nginx's handler reaps what ended meanwhile.
fn give_sigchld_back() {
    if ALIVE.fetch_sub(1, Ordering::SeqCst) != 1 {
        return;
    }
    // SAFETY: `raise` takes no pointer, and SIGCHLD has a handler: nginx's, called by ours.
    unsafe {
        let mut other: libc::siginfo_t = std::mem::zeroed();
        let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_ALL, 0, &mut other, look) == 0 && other.si_pid() != 0 {
            libc::raise(libc::SIGCHLD);
        }
    }
}

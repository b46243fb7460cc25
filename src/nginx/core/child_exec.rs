//! What happens in a child between fork and exec.
//!
//! Other threads may have held any lock when the process forked, so nothing here allocates, locks
//! or panics: system calls only, on values made before the fork.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use crate::nginx::core::worker;
use crate::nginx::sys::ngx_get_cpu_affinity;

/// A program to run: its file (looked for in PATH), its arguments and its environment.
pub struct Program<'a> {
    file: &'a CStr,
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

impl<'a> Program<'a> {
    /// If `environment` is null, the worker's own is used. `None` without a file or arguments.
    ///
    /// # Safety
    /// `file` must be null or a C string, the other two null or arrays of C strings that null
    /// ends; all valid for `'a`.
    pub unsafe fn new(
        file: *const c_char,
        arguments: *const *const c_char,
        environment: *const *const c_char,
    ) -> Option<Program<'a>> {
        if file.is_null() || arguments.is_null() {
            return None;
        }
        // SAFETY: `file` is a C string, the contract of this function.
        let file = unsafe { CStr::from_ptr(file) };
        Some(Program { file, arguments, environment })
    }

    pub fn file(&self) -> &CStr {
        self.file
    }

    /// The function of the C library that runs it.
    pub fn call(&self) -> &'static str {
        if self.environment.is_null() { "execvp" } else { "execvpe" }
    }
}

/// The descriptor in the child that tells the worker why the program could not be run.
const FAILURE: c_int = 3;

/// Runs `program` in this process, a child, with three of `fds` as its standard streams. Where it
/// cannot, writes the error's number to the fourth and exits with 1.
///
/// # Safety
/// Only for a process that has just been forked, with all signals blocked; the descriptors are
/// open.
pub unsafe fn exec(program: &Program, fds: [c_int; 4]) -> ! {
    // SAFETY: system calls on values of this frame; the program's arrays are valid, see `new`.
    unsafe {
        let mut failure = fds[3];
        let mut errno = set_up(fds, &mut failure);
        if errno == 0 {
            match program.environment.is_null() {
                true => libc::execvp(program.file.as_ptr(), program.arguments),
                false => {
                    libc::execvpe(program.file.as_ptr(), program.arguments, program.environment)
                }
            };
            errno = *libc::__errno_location();
        }
        libc::write(failure, (&raw const errno).cast(), size_of::<c_int>());
        libc::_exit(1);
    }
}

/// The kernel's last signal on Linux.
const LAST_SIGNAL: c_int = 64;
/// Words that hold the kernel's `struct sigaction` on every 64-bit platform: handler, flags,
/// restorer, mask. All zero is the default action.
const KERNEL_SIGACTION_WORDS: usize = 4;

/// Sets signals, descriptors and CPU affinity to what a program expects; returns 0 or an error's
/// number.
///
/// # Safety
/// As for [`exec`].
unsafe fn set_up(fds: [c_int; 4], failure: &mut c_int) -> c_int {
    // SAFETY: system calls on values of this frame; the process has just been forked and the
    // descriptors are open, the contract of this function.
    unsafe {
        reset_affinity();
        // Resets every signal to its default action: ignored ones would stay ignored through exec.
        // The kernel is called directly, because the C library refuses to change the signals that
        // it reserves for its threads.
        let default = [0u64; KERNEL_SIGACTION_WORDS];
        for signal in 1..=LAST_SIGNAL {
            let size_of_mask = size_of::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                null_mut::<c_void>(),
                size_of_mask,
            );
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), null_mut());
        // Moved out of the way first: any of them may be one of the numbers 0 to 3.
        let mut safe = fds;
        for fd in &mut safe {
            *fd = libc::fcntl(*fd, libc::F_DUPFD, FAILURE + 1);
            if *fd < 0 {
                return *libc::__errno_location();
            }
        }
        for (number, fd) in (0..).zip(safe) {
            if libc::dup2(fd, number) < 0 {
                return *libc::__errno_location();
            }
        }
        *failure = FAILURE;
        if libc::fcntl(FAILURE, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
            return *libc::__errno_location();
        }
        close_from(FAILURE + 1);
    }
    0
}

/// Closes every descriptor from `first` on: listening sockets, clients' connections, the event
/// loop's own, and those of other modules.
///
/// # Safety
/// Nothing in this process uses those descriptors any more.
unsafe fn close_from(first: c_int) {
    // SAFETY: nothing uses those descriptors any more, the contract of this function.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) == 0 {
            return;
        }
        let mut limit = MaybeUninit::<libc::rlimit>::zeroed().assume_init();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        let last = c_int::try_from(limit.rlim_cur).unwrap_or(1 << 20);
        for fd in first..last {
            libc::close(fd);
        }
    }
}

/// Undoes the worker's CPU affinity (`worker_cpu_affinity`), which a program must not inherit.
///
/// # Safety
/// Only for a process that has just been forked.
unsafe fn reset_affinity() {
    let Some(number) = worker::worker_id().and_then(|id| usize::try_from(id).ok()) else { return };
    // SAFETY: nginx's own look-up in the configuration; a CPU set is plain bits.
    unsafe {
        if ngx_get_cpu_affinity(number).is_null() {
            return;
        }
        let all = [0xffu8; size_of::<libc::cpu_set_t>()];
        libc::sched_setaffinity(0, all.len(), all.as_ptr().cast());
    }
}

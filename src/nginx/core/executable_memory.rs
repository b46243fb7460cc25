//! Whether the system lets a process execute memory that it has written, as a JIT compiler must.
//! systemd's `MemoryDenyWriteExecute`, SELinux and others may forbid it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// The notice in the error log.
pub const NOTICE: &str = "memory that was written may not be executed in this process \
                          (MemoryDenyWriteExecute or the like): LuaJIT and PCRE2 interpret code \
                          instead of compiling it";

/// Whether [`probe`] found it forbidden.
#[inline]
pub fn is_forbidden() -> bool {
    FORBIDDEN.load(Ordering::Relaxed)
}

/// Tries it, and remembers the answer; true if it is forbidden and had not been before.
pub fn probe() -> bool {
    let forbidden = !is_allowed();
    !FORBIDDEN.swap(forbidden, Ordering::Relaxed) && forbidden
}

/// Maps a page as LuaJIT does: first writable, then executable.
fn is_allowed() -> bool {
    const PAGE: usize = 4096;
    // SAFETY: a new mapping that nobody else knows, and that is gone afterwards.
    unsafe {
        let page = libc::mmap(
            null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            // Out of memory, which says nothing about permissions.
            return true;
        }
        let allowed = libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_EXEC) == 0;
        libc::munmap(page, PAGE);
        allowed
    }
}

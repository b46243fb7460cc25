//! Whether the system lets a process execute memory that it has written, as compilers of code at
//! run time need: systemd's `MemoryDenyWriteExecute`, SELinux and their kin may forbid it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// What the error log says of it.
pub const NOTICE: &str = "memory that was written may not be executed in this process \
                          (MemoryDenyWriteExecute or the like): LuaJIT and PCRE2 interpret code \
                          instead of compiling it";

/// Whether [`probe`] found it forbidden.
#[inline]
pub fn is_forbidden() -> bool {
    FORBIDDEN.load(Ordering::Relaxed)
}

/// Tries it, and remembers the answer; true where it is forbidden and was not before.
pub fn probe() -> bool {
    let forbidden = !is_allowed();
    !FORBIDDEN.swap(forbidden, Ordering::Relaxed) && forbidden
}

/// Maps a page as LuaJIT does: to be written first, then to be executed.
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
            // Out of memory: that says nothing about this.
            return true;
        }
        let allowed = libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_EXEC) == 0;
        libc::munmap(page, PAGE);
        allowed
    }
}

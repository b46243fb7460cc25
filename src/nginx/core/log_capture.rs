//! `lua_capture_error_log`: the last lines of the error log, kept in memory.
//!
//! nginx writes a line to each log of a chain, and a log may have a writer function of its own. A
//! log of ours is second in every chain of the `http` block and puts the lines into a buffer.
//! Connections use a copy of a chain's first log until their first request: made before ours is
//! there, it may not lead to it.
//!
//! Invariant: the writer allocates nothing and never waits, because nginx also logs in signal
//! handlers and threads. A line that comes while the buffer is in use is lost.

use std::cell::{RefCell, UnsafeCell};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use codec::fallible::Grow;
use codec::log_ring::{CapturedLine, LogRing};
use export::callback;

use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::Level;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::core::time;
use crate::nginx::sys::{ngx_log_t, ngx_uint_t};

/// A configuration's buffer, which lives in its pool; copies are the same one.
#[derive(Clone, Copy)]
pub struct Capture(NonNull<Buffer>);

/// The buffer, and the logs that fill it.
struct Buffer {
    in_use: AtomicBool,
    ring: UnsafeCell<LogRing>,
    filter_level: AtomicUsize,
    /// The heads of log chains, each with our log that was inserted after it.
    logs: RefCell<Vec<(*mut ngx_log_t, *mut ngx_log_t)>>,
}

impl Capture {
    /// Makes an empty buffer of `size` bytes, in the pool of the configuration that is being read.
    pub fn define(cf: Conf, size: usize) -> Result<Capture, OutOfMemory> {
        let buffer = Buffer {
            in_use: AtomicBool::new(false),
            ring: UnsafeCell::new(LogRing::new(size)?),
            filter_level: AtomicUsize::new(Level::Debug as usize),
            logs: RefCell::default(),
        };
        Ok(Capture(cf.pool()?.own(buffer)?))
    }

    fn buffer(&self) -> &Buffer {
        // SAFETY: `define` made it in the pool of the configuration, which lives as long as the
        // handle is used.
        unsafe { self.0.as_ref() }
    }

    /// Captures the error log of the location that is being merged.
    pub fn attach_to_location(self, cf: Conf) -> Result<(), OutOfMemory> {
        // SAFETY: the log is of the configuration that is being read, as this buffer is, and was
        // merged before.
        unsafe { self.buffer().attach(cf.pool()?, cf.location_error_log()) }
    }

    /// Captures the error log of the cycle itself, whose configuration has been read.
    pub fn attach_to_cycle(self, cycle: Cycle) -> Result<(), OutOfMemory> {
        // SAFETY: the log is the cycle's, and complete.
        unsafe { self.buffer().attach(cycle.pool()?, cycle.new_log()) }
    }

    /// From now on, keeps only lines of this level and more severe ones.
    pub fn set_filter_level(self, level: Level) {
        self.buffer().filter_level.store(level as usize, Ordering::Relaxed);
    }

    /// Takes the oldest line out.
    pub fn take(self) -> Option<CapturedLine> {
        self.buffer().with_ring(LogRing::pop).flatten()
    }
}

impl Buffer {
    /// Captures what is logged to the chain that begins with `head`; once for each chain.
    ///
    /// # Safety
    /// `head` is null or the first log of a chain of the configuration that `pool` and this
    /// buffer belong to; its level is final.
    unsafe fn attach(&self, pool: Pool, head: *mut ngx_log_t) -> Result<(), OutOfMemory> {
        let mut logs = self.logs.borrow_mut();
        if head.is_null() || logs.iter().any(|(known, _)| *known == head) {
            return Ok(());
        }
        // SAFETY: all zero is a valid ngx_log_t; the chain is live, the contract of this function.
        unsafe {
            let ours = pool.zeroed::<ngx_log_t>()?.as_ptr();
            // nginx stops at the first log of a chain whose level is too low.
            (*ours).log_level = (*head).log_level;
            (*ours).writer = Some(keep);
            (*ours).wdata = std::ptr::from_ref(self).cast_mut().cast();
            // Angie finds in it what to call the parts of a line.
            #[cfg(angie)]
            ((*ours).conf = (*head).conf);
            (*ours).next = (*head).next;
            (*head).next = ours;
            logs.try_push((head, ours))?;
        }
        Ok(())
    }

    fn with_ring<T>(&self, work: impl FnOnce(&mut LogRing) -> T) -> Option<T> {
        self.in_use.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: `in_use` was false, and is true as long as the reference lives.
        let result = work(unsafe { &mut *self.ring.get() });
        self.in_use.store(false, Ordering::Release);
        Some(result)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        for (head, ours) in self.logs.get_mut().drain(..) {
            // SAFETY: the logs live in the pool whose clean-up this is. Copies of the head may
            // still lead to ours, which does nothing from now on.
            unsafe {
                (*ours).wdata = null_mut();
                if (*head).next == ours {
                    (*head).next = (*ours).next;
                }
            }
        }
    }
}

/// Called by nginx with a line of `len` bytes that it writes to this log.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn keep(log: *mut ngx_log_t, level: ngx_uint_t, text: *mut u8, len: usize) {
    // SAFETY: nginx passes the log that `attach` made; its data is a live buffer or null.
    let buffer = unsafe { (*log).wdata.cast::<Buffer>().as_ref() };
    let Some(buffer) = buffer else { return };
    if level > buffer.filter_level.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: nginx passes `len` bytes.
    let line = unsafe { crate::nginx::core::strings::raw(text, len) };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let _busy = buffer.with_ring(|ring| ring.push(level as u32, time::now(), line));
}

//! A zone with a slot for each worker, which only that worker writes, and everyone reads.
//!
//! A slot belongs to a process id. What a process leaves in its slot is added to the numbers of
//! those that are gone, by itself when it ends, or by the next one that looks and finds the process
//! dead: so sums over all of them never become smaller. There is no lock.

use std::ffi::c_void;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use export::callback;

use super::zones::SharedZones;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::worker;
use crate::nginx::sys::{ngx_int_t, ngx_shm_zone_t, ngx_slab_calloc_locked, ngx_slab_pool_t};

/// The most processes at a time, those of a reload's two configurations together.
const SLOTS: usize = 256;

/// No process, and one that has been found dead and is being added to those that are gone.
const NOBODY: i32 = 0;
const BEING_ADDED: i32 = -1;

/// A number that one process writes and all read.
pub struct Counter(AtomicU64);

impl Counter {
    /// Only for the process that owns the slot.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    #[inline(always)]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of a process.
pub type Numbers<const N: usize> = [Counter; N];

#[repr(C)]
struct Slot<const N: usize> {
    pid: AtomicI32,
    numbers: Numbers<N>,
}

/// Atomic numbers, of which all zero are valid.
#[repr(C)]
struct Table<const N: usize> {
    gone: Numbers<N>,
    slots: [Slot<N>; SLOTS],
}

/// A zone with `N` numbers per worker; copies are the same one.
#[derive(Clone, Copy)]
pub struct WorkerSlots<const N: usize> {
    zone: NonNull<ngx_shm_zone_t>,
    /// Whether the number at an index is one that only grows.
    outlasts: fn(usize) -> bool,
}

/// The slot of this process; copies are the same one. A handle, which must not be used any more once
/// the process has given up the slot.
#[derive(Clone, Copy)]
pub struct OwnSlot<const N: usize>(NonNull<Slot<N>>);

impl<const N: usize> Deref for OwnSlot<N> {
    type Target = Numbers<N>;

    #[inline(always)]
    fn deref(&self) -> &Numbers<N> {
        // SAFETY: `claim` found it in the zone's table, which stays as long as processes use the
        // configuration; all that is in it is atomic.
        unsafe { &(*self.0.as_ptr()).numbers }
    }
}

impl<const N: usize> WorkerSlots<N> {
    /// Registers the zone `name`; `None` on an error, which has been logged. `outlasts` tells which
    /// numbers are kept when their process is gone.
    pub fn define(
        cf: Conf,
        zones: &SharedZones,
        name: &[u8],
        outlasts: fn(usize) -> bool,
    ) -> Option<WorkerSlots<N>> {
        static TAG: u8 = 0;
        let size = SharedZones::size_for(size_of::<Table<N>>());
        let tag: *mut c_void = std::ptr::from_ref(&TAG).cast_mut().cast();
        let mut zone = zones.add(cf, name, size, tag)?;
        // SAFETY: a live zone of this tag, whose data and `init` only this function sets.
        let its = unsafe { zone.as_mut() };
        its.init = Some(init::<N>);
        its.data = zone.as_ptr().cast();
        Some(WorkerSlots { zone, outlasts })
    }

    /// Nothing while nginx has no memory for the zone yet.
    fn table(&self) -> Option<&Table<N>> {
        // SAFETY: a zone of a cycle that is still in use; `init` has put a table of zeroes there,
        // and it stays as long as processes use the configuration.
        unsafe {
            let pool: *mut ngx_slab_pool_t = self.zone.as_ref().shm.addr.cast();
            pool.as_ref()?.data.cast::<Table<N>>().as_ref()
        }
    }

    /// A slot for this process, which has none; `None` where all are taken.
    pub fn claim(&self) -> Option<OwnSlot<N>> {
        // This process has none yet: one with its id is that of a dead process that had the id.
        self.release();
        self.settle();
        let slot = self.table()?.slots.iter().find(|slot| slot.passes(NOBODY, worker::pid()));
        slot.map(|slot| OwnSlot(NonNull::from(slot)))
    }

    /// Gives up this process's slot.
    pub fn release(&self) {
        self.take_over(|pid| pid == worker::pid());
    }

    /// Takes over what dead processes have left.
    fn settle(&self) {
        self.take_over(|pid| pid > 0 && !worker::is_alive(pid));
    }

    fn take_over(&self, whose: impl Fn(i32) -> bool) {
        let Some(table) = self.table() else { return };
        for slot in &table.slots {
            let pid = slot.pid.load(Ordering::Acquire);
            if pid == NOBODY || !whose(pid) || !slot.passes(pid, BEING_ADDED) {
                continue;
            }
            for (index, (own, gone)) in slot.numbers.iter().zip(&table.gone).enumerate() {
                let left = own.0.swap(0, Ordering::Relaxed);
                if (self.outlasts)(index) {
                    gone.0.fetch_add(left, Ordering::Relaxed);
                }
            }
            slot.pid.store(NOBODY, Ordering::Release);
        }
    }

    /// What the processes that are gone have left.
    pub fn gone(&self) -> Option<&Numbers<N>> {
        self.settle();
        self.table().map(|table| &table.gone)
    }

    /// The processes that have a slot, with their numbers.
    pub fn workers(&self) -> impl Iterator<Item = (i32, &Numbers<N>)> {
        let slots = self.table().map_or(&[][..], |table| &table.slots);
        slots
            .iter()
            .map(|slot| (slot.pid.load(Ordering::Acquire), &slot.numbers))
            .filter(|(pid, _)| *pid > 0)
    }
}

impl<const N: usize> Slot<N> {
    /// Passes the slot from the process `from` to `to`; false if it is not `from`'s.
    fn passes(&self, from: i32, to: i32) -> bool {
        self.pid.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// nginx calls this when it has the memory of a zone: makes a table in it, or keeps the one that is
/// there.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(-1)]
unsafe extern "C" fn init<const N: usize>(
    zone: *mut ngx_shm_zone_t,
    old: *mut c_void,
) -> ngx_int_t {
    // SAFETY: nginx passes the zone, with a slab pool at its start, which nothing else uses yet.
    unsafe {
        if !old.is_null() || (*zone).shm.exists != 0 {
            return 0;
        }
        let pool: *mut ngx_slab_pool_t = (*zone).shm.addr.cast();
        let table = ngx_slab_calloc_locked(pool, size_of::<Table<N>>());
        (*pool).data = table;
        if table.is_null() { -1 } else { 0 }
    }
}

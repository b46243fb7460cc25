//! A zone that holds a dictionary: how it is defined, initialised and locked.

use std::mem::size_of;
use std::ptr::{NonNull, copy_nonoverlapping, null_mut};
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use codec::fallible;
use export::callback;

use super::expiry::Generation;
use super::locked::Locked;
use super::queue::Queue;
use super::zones::is_initialised_by;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_int_t, ngx_rbtree_node_t, ngx_rbtree_t, ngx_shm_zone_t, ngx_shmtx_lock,
    ngx_slab_alloc_locked, ngx_slab_pool_t,
};

/// The root of the dictionary, to which the zone's slab pool points.
#[repr(C)]
pub struct Root {
    pub tree: ngx_rbtree_t,
    sentinel: ngx_rbtree_node_t,
    pub lru: Queue,
    /// Set while a process changes something.
    pub changing: AtomicU32,
    /// How many living entries were removed to make room for others.
    pub evictions: u64,
    pub generation: Generation,
}

/// A zone that holds a dictionary; copies are the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dict(NonNull<ngx_shm_zone_t>);

impl Dict {
    /// The dictionary in `zone`; nothing for null and for zones that hold something else.
    ///
    /// # Safety
    /// `zone` must be null or a zone of a cycle that outlives the value.
    pub unsafe fn from_ptr(zone: *mut ngx_shm_zone_t) -> Option<Dict> {
        let zone = NonNull::new(zone)?;
        // SAFETY: the zone is not null, so it is live, the contract of this function.
        let is_dict = unsafe { is_initialised_by(zone.as_ref(), init) };
        is_dict.then_some(Dict(zone))
    }

    /// Has a zone initialised as a dictionary when nginx has its memory.
    ///
    /// # Safety
    /// `zone` is one that `SharedZones::add` gave, and that has no use yet.
    pub unsafe fn define(zone: NonNull<ngx_shm_zone_t>) -> Dict {
        // SAFETY: the zone is live and has no use yet, the contract of this function.
        unsafe {
            (*zone.as_ptr()).init = Some(init);
            (*zone.as_ptr()).data = zone.as_ptr().cast();
        }
        Dict(zone)
    }

    pub fn as_ptr(self) -> *mut ngx_shm_zone_t {
        self.0.as_ptr()
    }

    fn zone(&self) -> &ngx_shm_zone_t {
        // SAFETY: the zone's cycle outlives the value: `from_ptr`'s contract, and `define`'s zones
        // are of the cycle that is being made.
        unsafe { self.0.as_ref() }
    }

    pub fn name(&self) -> &[u8] {
        // SAFETY: the name lives in the cycle's pool.
        unsafe { strings::bytes(self.zone().shm.name) }
    }

    /// The size in bytes of the zone.
    pub fn capacity(self) -> usize {
        self.zone().shm.size
    }

    /// Takes the lock, waiting for it. Nothing while nginx has no memory for the zone yet.
    ///
    /// While the lock is held, do not call anything that may take it again, nor any Lua code.
    #[inline]
    pub fn lock(&self) -> Option<Locked<'_>> {
        let pool: *mut ngx_slab_pool_t = self.zone().shm.addr.cast();
        if pool.is_null() {
            return None;
        }
        // SAFETY: a zone's memory begins with its slab pool; the lock is held from here on.
        unsafe {
            ngx_shmtx_lock(&mut (*pool).mutex);
            Locked::begin(pool, self)
        }
    }
}

/// nginx calls this when it has the memory of a zone: makes a dictionary in it, or keeps the one
/// that is there.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(-1)]
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut std::ffi::c_void) -> ngx_int_t {
    // SAFETY: nginx passes the zone, with a slab pool at its start.
    unsafe {
        let pool: *mut ngx_slab_pool_t = (*zone).shm.addr.cast();
        if !old.is_null() || (*zone).shm.exists != 0 {
            return 0;
        }
        match format(pool, strings::bytes((*zone).shm.name)) {
            Ok(_) => 0,
            Err(OutOfMemory) => -1,
        }
    }
}

/// Makes an empty dictionary in an empty slab pool.
///
/// # Safety
/// `pool` must be an initialised slab pool that nothing else uses meanwhile.
pub unsafe fn format(pool: *mut ngx_slab_pool_t, name: &[u8]) -> Result<*mut Root, OutOfMemory> {
    let context = fallible::concat(&[b" in lua_shared_dict zone \"", name, b"\"\0"])?;
    // SAFETY: nothing else uses the pool, the contract of this function; sizes fit what is written.
    unsafe {
        let root: *mut Root = ngx_slab_alloc_locked(pool, size_of::<Root>()).cast();
        if root.is_null() {
            return Err(OutOfMemory);
        }
        // Until all is there: the pool may point to this place already, and the process may die.
        (*root).changing = AtomicU32::new(1);
        compiler_fence(Ordering::SeqCst);
        (*root).evictions = 0;
        (*root).generation = Generation::FIRST;
        let sentinel = &raw mut (*root).sentinel;
        sentinel.write_bytes(0, 1);
        (*root).tree = ngx_rbtree_t { root: sentinel, sentinel, insert: None };
        Queue::init(&raw mut (*root).lru);
        (*pool).data = root.cast();
        let log_context: *mut u8 = ngx_slab_alloc_locked(pool, context.len()).cast();
        if log_context.is_null() {
            return Err(OutOfMemory);
        }
        copy_nonoverlapping(context.as_ptr(), log_context, context.len());
        (*pool).log_ctx = log_context;
        // Keeps nginx from logging that the dictionary is full.
        (*pool).set_log_nomem(0);
        compiler_fence(Ordering::SeqCst);
        (*root).changing.store(0, Ordering::Relaxed);
        Ok(root)
    }
}

/// The null pointer that stands for no zone.
pub const NO_ZONE: *mut ngx_shm_zone_t = null_mut();

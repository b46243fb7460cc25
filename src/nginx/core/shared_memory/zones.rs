//! The zones of one configuration, and work that waits until all of them are ready.
//!
//! nginx allocates zones only after it has read its configuration, and `init_by_lua*` may use them:
//! so it runs when the last zone is ready. Zones of other modules count too if they are registered
//! through [`SharedZones::add`]: the module gets a copy of nginx's zone, with `init` and `data` for
//! its own use, which is initialised when nginx initialises the original.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::rc::Rc;

use export::callback;

use super::dict::Dict;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::Log;
use crate::nginx::core::{strings, worker};
use crate::nginx::module;
use crate::nginx::sys::{
    ngx_cycle, ngx_cycle_t, ngx_int_t, ngx_log_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_str_t,
};

/// What runs when all zones are ready; an error stops nginx, or the reload.
type Ready = Box<dyn FnOnce(Cycle, Log) -> Result<(), ()>>;

/// The zones of one configuration. The data of each zone has a share of it.
#[derive(Default)]
pub struct SharedZones(Rc<Zones>);

#[derive(Default)]
struct Zones {
    added: Cell<usize>,
    initialised: Cell<usize>,
    dicts: RefCell<Vec<Dict>>,
    ready: RefCell<Option<Ready>>,
}

/// The data of nginx's zone.
struct ZoneContext {
    /// The copy that the module that added it uses.
    zone: ngx_shm_zone_t,
    zones: Rc<Zones>,
    cycle: *mut ngx_cycle_t,
    log: *mut ngx_log_t,
}

impl SharedZones {
    /// The size of a zone with room for one object of `size` bytes.
    pub fn size_for(size: usize) -> usize {
        let page = worker::page_size();
        // nginx's slab allocator takes a few bytes per page, and some pages, for itself.
        (size / 64).saturating_mul(66).saturating_add(9 * page) / page * page
    }

    /// Registers a zone with nginx, or finds the one that is registered already with the same name,
    /// size and tag. `None` on an error, which has been logged.
    pub fn add(
        &self,
        cf: Conf,
        name: &[u8],
        size: usize,
        tag: *mut c_void,
    ) -> Option<NonNull<ngx_shm_zone_t>> {
        let pool = cf.pool().ok()?;
        let mut name: ngx_str_t = pool.copy_str(name).ok()?;
        // SAFETY: the parser is live, the name is in its pool; nginx's zone lives in its list, the
        // context in the cycle's pool.
        unsafe {
            let zone = ngx_shared_memory_add(cf.as_ptr(), &mut name, size, tag).as_mut()?;
            if let Some(context) = zone.data.cast::<ZoneContext>().as_mut() {
                return Some(NonNull::from(&mut context.zone));
            }
            let cycle = cf.cycle().as_ptr();
            let log = &raw mut (*cycle).new_log;
            let context =
                ZoneContext { zone: std::ptr::read(zone), zones: self.0.clone(), cycle, log };
            let context = pool.own(context).ok()?;
            zone.init = Some(init);
            zone.data = context.as_ptr().cast();
            self.0.added.set(self.0.added.get() + 1);
            NonNull::new(&raw mut (*context.as_ptr()).zone)
        }
    }

    /// Adds a dictionary's zone; false if there is one of that name. `None` on another error, which
    /// has been logged.
    pub fn add_dict(&self, cf: Conf, name: &[u8], size: usize) -> Option<bool> {
        let tag = std::ptr::from_ref(module()).cast_mut().cast();
        let zone = self.add(cf, name, size, tag)?;
        // SAFETY: a live zone of nginx's; one whose data is set is in use.
        unsafe {
            if !zone.as_ref().data.is_null() {
                return Some(false);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "of the configuration, when nginx reads it"
            )]
            self.0.dicts.borrow_mut().push(Dict::define(zone));
        }
        Some(true)
    }

    /// The dictionaries, in the order of the configuration.
    pub fn dicts(&self) -> Vec<Dict> {
        self.0.dicts.borrow().clone()
    }

    /// Has `work` run when all zones are ready. If there are no zones, returns it.
    pub fn when_ready(&self, work: Ready) -> Option<Ready> {
        if self.0.added.get() == 0 {
            return Some(work);
        }
        *self.0.ready.borrow_mut() = Some(work);
        None
    }
}

impl Zones {
    fn one_is_initialised(&self, context: &ZoneContext) -> Result<(), ()> {
        self.initialised.set(self.initialised.get() + 1);
        if self.initialised.get() < self.added.get() {
            return Ok(());
        }
        let Some(work) = self.ready.borrow_mut().take() else { return Ok(()) };
        // SAFETY: `add` has noted the cycle that is being made and its log; both outlive the
        // context, which is in the cycle's pool.
        let (cycle, log) =
            unsafe { (Cycle::from_ptr(context.cycle).ok_or(())?, Log::from_ptr(context.log)) };
        work(cycle, log)
    }
}

/// What nginx calls when it has the memory of a zone.
pub type ZoneInit = unsafe extern "C" fn(*mut ngx_shm_zone_t, *mut c_void) -> ngx_int_t;

/// Whether a zone is one of those that `init` initialises: that tells what its data is.
pub fn is_initialised_by(zone: &ngx_shm_zone_t, init: ZoneInit) -> bool {
    zone.init.is_some_and(|its| std::ptr::fn_addr_eq(its, init))
}

/// nginx calls this when it has the memory of a zone; `old` is the context of the same zone in the
/// previous cycle.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(-1)]
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes a zone that `add` set up, whose context is in the cycle's pool; the
    // old cycle still lives.
    unsafe {
        let context: *mut ZoneContext = (*zone).data.cast();
        let old: *mut ZoneContext = old.cast();
        let old_data = old.as_ref().map_or(std::ptr::null_mut(), |old| old.zone.data);
        let inner = &raw mut (*context).zone;
        // The copy gets what nginx has set since, and keeps what its module has set.
        let own = std::ptr::read(inner);
        inner.write(ngx_shm_zone_t {
            data: own.data,
            init: own.init,
            tag: own.tag,
            sync: own.sync,
            ..std::ptr::read(zone)
        });
        let Some(inner_init) = own.init else { return -1 };
        if inner_init(inner, old_data) != 0 {
            return -1;
        }
        let ready = (*context).zones.one_is_initialised(&*context);
        if ready.is_ok() { 0 } else { -1 }
    }
}

/// The copy of the zone `name` of the current cycle that the module that added it uses; null if
/// there is none.
pub fn find(name: &[u8]) -> *mut ngx_shm_zone_t {
    // SAFETY: the cycle's list of zones is nginx's own; only zones that `add` set up have the
    // context behind them.
    unsafe {
        let Some(cycle) = (*std::ptr::addr_of!(ngx_cycle)).as_ref() else {
            return super::dict::NO_ZONE;
        };
        let mut part = &raw const cycle.shared_memory.part;
        while let Some(list) = part.as_ref() {
            let zones: *mut ngx_shm_zone_t = list.elts.cast();
            for n in 0..list.nelts {
                let zone = zones.add(n);
                let ours = is_initialised_by(&*zone, init);
                if ours && strings::bytes((*zone).shm.name) == name {
                    return &raw mut (*(*zone).data.cast::<ZoneContext>()).zone;
                }
            }
            part = list.next;
        }
    }
    super::dict::NO_ZONE
}

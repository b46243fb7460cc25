//! The configuration structures of modules, where nginx keeps them: three arrays, for the `http`
//! block, the server and the location, with a slot for each module.

use std::ffi::c_void;
use std::ptr::{NonNull, addr_of};

use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::module::module;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_cycle, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_module,
    ngx_http_request_t, ngx_module_t,
};

/// Which of the arrays a structure is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Main,
    Server,
    Location,
}

/// A structure that this module has at one scope.
///
/// # Safety
/// The module's `create_*_conf` function of that scope must make exactly this type, in the cycle's
/// pool.
pub unsafe trait Structure: Default + 'static {
    const SCOPE: Scope;
}

/// A handle that leads to a configuration: that of a request, of the block that is being read, of
/// a client in a handshake.
///
/// # Safety
/// What `configuration` gives must live as long as any copy of the handle is used.
pub unsafe trait Configured {
    /// The configuration that is in force for it.
    fn configuration(&self) -> Configuration;

    /// This module's structure of type `T` in it.
    #[inline(always)]
    fn structure<T: Structure>(&self) -> &T {
        // SAFETY: the configuration lives as long as the handle is used, the contract of this trait.
        unsafe { self.configuration().get() }
    }
}

/// The configuration in force at some place: a location, a server, or the `http` block. A handle,
/// which must not be used any more once its cycle has ended.
#[derive(Clone, Copy)]
pub struct Configuration {
    main: *mut *mut c_void,
    server: *mut *mut c_void,
    location: *mut *mut c_void,
}

impl Configuration {
    /// The configuration of a request; valid as long as nginx's cycle.
    #[inline(always)]
    pub fn of(request: Request) -> Configuration {
        request.configuration()
    }

    /// The configuration of the block that is being read or merged, within `http`.
    pub fn under(cf: Conf) -> Configuration {
        cf.configuration()
    }

    /// The configuration of a cycle's `http` block, once it has been read; `None` without such a
    /// block.
    pub fn of_cycle(cycle: Cycle) -> Option<Configuration> {
        // SAFETY: a `Cycle` is a live one of nginx's.
        unsafe { http_block(cycle.as_ptr()) }
    }

    /// The configuration of the current cycle's `http` block; `None` without such a block.
    pub fn current() -> Option<Configuration> {
        // SAFETY: nginx sets its cycle before it loads a module.
        unsafe { http_block(*addr_of!(ngx_cycle)) }
    }

    /// The configuration that nginx's `ctx` of a block leads to.
    ///
    /// # Safety
    /// `ctx` must be that of a live cycle's configuration.
    pub(in crate::nginx) unsafe fn from_ctx(ctx: *const ngx_http_conf_ctx_t) -> Configuration {
        // SAFETY: the pointer is valid, the contract of this function.
        let ctx = unsafe { &*ctx };
        Configuration { main: ctx.main_conf, server: ctx.srv_conf, location: ctx.loc_conf }
    }

    /// The same configuration, with another array for the location.
    ///
    /// # Safety
    /// The array must have a slot for each module, with its configuration of a location, and live as
    /// long as the cycle.
    pub(in crate::nginx) unsafe fn with_location(
        self,
        location: *mut *mut c_void,
    ) -> Configuration {
        Configuration { location, ..self }
    }

    /// Sets it in `r`, a request that this module makes.
    ///
    /// # Safety
    /// `r` must be valid for writes.
    pub(in crate::nginx) unsafe fn set_on(self, r: *mut ngx_http_request_t) {
        // SAFETY: the pointer is valid, the contract of this function.
        unsafe {
            (*r).main_conf = self.main;
            (*r).srv_conf = self.server;
            (*r).loc_conf = self.location;
        }
    }

    /// This module's structure of type `T` in the configuration of a cycle; `None` without an `http`
    /// block.
    pub fn structure_of_cycle<T: Structure>(cycle: &Cycle) -> Option<&T> {
        // SAFETY: a cycle's configuration lives as long as the cycle, and so as the handle is used.
        Configuration::of_cycle(*cycle).map(|configuration| unsafe { configuration.get() })
    }

    /// This module's structure of type `T`.
    ///
    /// # Safety
    /// The configuration's cycle must live as long as the result.
    #[inline(always)]
    unsafe fn get<'a, T: Structure>(self) -> &'a T {
        // SAFETY: the slot holds a `T` in the pool (the contract of `Structure`) of a cycle that is
        // live, the contract of this function.
        unsafe { &*self.slot(T::SCOPE, module()).cast() }
    }

    /// What `module` has in its slot at that scope; null if it has no structure there.
    #[inline(always)]
    pub(in crate::nginx) fn slot(self, level: Scope, module: &ngx_module_t) -> *mut c_void {
        let array = match level {
            Scope::Main => self.main,
            Scope::Server => self.server,
            Scope::Location => self.location,
        };
        // SAFETY: nginx makes each array with a slot for every http module, in the pool of the
        // cycle, which outlives this value's users.
        unsafe { *array.add(module.ctx_index) }
    }

    /// nginx's core module's configuration of the location.
    pub(in crate::nginx) fn core_location(self) -> *mut ngx_http_core_loc_conf_t {
        self.slot(Scope::Location, core()).cast()
    }

    /// nginx's core module's configuration of the server.
    pub(in crate::nginx) fn core_server(self) -> *mut ngx_http_core_srv_conf_t {
        self.slot(Scope::Server, core()).cast()
    }

    /// nginx's core module's configuration of the `http` block.
    pub(in crate::nginx) fn core_main(self) -> *mut ngx_http_core_main_conf_t {
        self.slot(Scope::Main, core()).cast()
    }
}

// SAFETY: the handle is the configuration's own.
unsafe impl Configured for Configuration {
    #[inline(always)]
    fn configuration(&self) -> Configuration {
        *self
    }
}

// SAFETY: the cycle that a request began in lives as long as the request.
unsafe impl Configured for Request {
    #[inline(always)]
    fn configuration(&self) -> Configuration {
        let r = self.get();
        Configuration { main: r.main_conf, server: r.srv_conf, location: r.loc_conf }
    }
}

// SAFETY: the parser makes a configuration, and is used during the calls that it makes only.
unsafe impl Configured for Conf {
    fn configuration(&self) -> Configuration {
        // SAFETY: within `http`, the parser's ctx is nginx's ngx_http_conf_ctx_t.
        unsafe { Configuration::from_ctx(self.get().ctx.cast()) }
    }
}

/// nginx's core module, which has a configuration everywhere.
fn core() -> &'static ngx_module_t {
    // SAFETY: a static of nginx's, which nothing writes once the modules are loaded.
    unsafe { &*addr_of!(ngx_http_core_module) }
}

/// The configuration of the cycle's `http` block, if there is one yet.
///
/// # Safety
/// `cycle` must be null or live.
unsafe fn http_block(cycle: *const ngx_cycle_t) -> Option<Configuration> {
    // SAFETY: conf_ctx is null until the first configuration is in force, and the http module's
    // entry null without an `http` block.
    unsafe {
        let conf_ctx = cycle.as_ref()?.conf_ctx;
        if conf_ctx.is_null() {
            return None;
        }
        let http = (*conf_ctx.add((*addr_of!(ngx_http_module)).index)).cast();
        NonNull::new(http).map(|http| Configuration::from_ctx(http.as_ptr()))
    }
}

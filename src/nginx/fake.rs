//! Stand-ins for requests: timers and worker hooks run Lua code without a client.
//!
//! A stand-in has a connection of its own, with descriptor -1, outside nginx's table of
//! connections: it costs no `worker_connections` slot. Everything lives in one pool.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pool::{OutOfMemory, Pool};
use super::request::Request;
use super::sys::{
    NGX_HTTP_MAX_SUBREQUESTS, NGX_HTTP_MAX_URI_CHANGES, NGX_HTTP_MODULE, NGX_HTTP_UNKNOWN,
    ngx_connection_counter, ngx_connection_t, ngx_create_pool, ngx_del_timer, ngx_destroy_pool,
    ngx_event_t, ngx_http_max_module, ngx_http_request_t, ngx_log_handler_pt, ngx_log_t,
};

/// Where a stand-in takes its configuration from.
#[derive(Clone, Copy)]
pub struct Configuration {
    main: *mut *mut c_void,
    server: *mut *mut c_void,
    location: *mut *mut c_void,
}

impl Configuration {
    /// That of a live request; it stays valid as long as nginx's cycle.
    pub fn of(request: Request) -> Configuration {
        let r = request.get();
        Configuration { main: r.main_conf, server: r.srv_conf, location: r.loc_conf }
    }

    /// That of the `http` block.
    ///
    /// # Safety
    /// The arrays must be those of a live cycle's `http` block.
    pub unsafe fn from_ptrs(
        main: *mut *mut c_void,
        server: *mut *mut c_void,
        location: *mut *mut c_void,
    ) -> Configuration {
        Configuration { main, server, location }
    }
}

/// Makes a stand-in. `log_handler` writes the end of each of its log lines.
///
/// The caller ends it with [`destroy`], which frees all of it.
pub fn create(
    configuration: Configuration,
    parent_log: super::log::Log,
    log_handler: ngx_log_handler_pt,
) -> Result<Request, OutOfMemory> {
    // SAFETY: all structures are zeroed nginx structures in one fresh pool, and filled as nginx
    // fills them; zero is valid for each.
    unsafe {
        let raw_pool = ngx_create_pool(4096, parent_log.as_ptr());
        let pool = Pool::from_ptr(raw_pool).ok_or(OutOfMemory)?;
        match fill(pool, configuration, parent_log.as_ptr(), log_handler) {
            Ok(request) => Ok(request),
            Err(OutOfMemory) => {
                ngx_destroy_pool(raw_pool);
                Err(OutOfMemory)
            }
        }
    }
}

unsafe fn fill(
    pool: Pool,
    configuration: Configuration,
    parent_log: *mut ngx_log_t,
    log_handler: ngx_log_handler_pt,
) -> Result<Request, OutOfMemory> {
    // SAFETY: the caller's; see `create`.
    unsafe {
        let log = pool.zeroed::<ngx_log_t>()?.as_ptr();
        let read = pool.zeroed::<ngx_event_t>()?.as_ptr();
        let write = pool.zeroed::<ngx_event_t>()?.as_ptr();
        let connection = pool.zeroed::<ngx_connection_t>()?.as_ptr();
        let r = pool.zeroed::<ngx_http_request_t>()?.as_ptr();
        let slots = *std::ptr::addr_of!(ngx_http_max_module) * size_of::<*mut c_void>();
        let contexts = super::sys::ngx_pcalloc(pool.as_ptr(), slots);
        if contexts.is_null() {
            return Err(OutOfMemory);
        }
        // SAFETY: nginx shares this counter between its workers, and only ever adds to it.
        let counter = AtomicUsize::from_ptr(ngx_connection_counter.cast());
        let number = counter.fetch_add(1, Ordering::Relaxed);

        *log = *parent_log;
        (*log).connection = number as u64;
        (*log).handler = log_handler;
        (*log).data = r.cast();
        (*log).action = null_mut();

        for (event, is_write) in [(read, 0), (write, 1)] {
            (*event).data = connection.cast();
            (*event).log = log;
            (*event).set_write(is_write);
        }
        (*write).set_ready(1);

        (*connection).fd = -1;
        (*connection).read = read;
        (*connection).write = write;
        (*connection).pool = pool.as_ptr();
        (*connection).log = log;
        (*connection).number = number as u64;
        (*connection).requests = 1;
        (*connection).data = r.cast();
        (*connection).set_error(1);

        (*r).signature = NGX_HTTP_MODULE;
        (*r).connection = connection;
        (*r).pool = pool.as_ptr();
        (*r).ctx = contexts.cast();
        (*r).main_conf = configuration.main;
        (*r).srv_conf = configuration.server;
        (*r).loc_conf = configuration.location;
        (*r).main = r;
        (*r).set_count(1);
        (*r).method = NGX_HTTP_UNKNOWN as usize;
        (*r).headers_in.keep_alive_n = -1;
        (*r).set_uri_changes(NGX_HTTP_MAX_URI_CHANGES + 1);
        (*r).set_subrequests(NGX_HTTP_MAX_SUBREQUESTS + 1);
        (*r).set_discard_body(1);
        NonNull::new(r).and_then(|r| Request::from_ptr(r.as_ptr())).ok_or(OutOfMemory)
    }
}

/// Runs a stand-in's cleanups and frees it. It must not be used afterwards.
pub fn destroy(request: Request) {
    // SAFETY: made by `create`; the pool holds all of it, and is destroyed last.
    unsafe {
        let r = request.as_ptr();
        let mut cleanup = (*r).cleanup;
        (*r).cleanup = null_mut();
        while let Some(entry) = cleanup.as_ref() {
            if let Some(handler) = entry.handler {
                handler(entry.data);
            }
            cleanup = entry.next;
        }
        let c = (*r).connection;
        for event in [(*c).read, (*c).write] {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            if (*event).posted() != 0 {
                super::sys::ngx_delete_posted_event(event);
            }
        }
        (*c).set_destroyed(1);
        ngx_destroy_pool((*r).pool);
    }
}

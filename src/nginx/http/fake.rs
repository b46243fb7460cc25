//! Fake requests: for Lua code that runs without a client's request, in timers, worker hooks and
//! TLS handshakes.
//!
//! A fake request has a connection of its own, with descriptor -1, outside nginx's table of
//! connections: it does not count against `worker_connections`. Everything lives in one pool.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use codec::fallible;

use crate::nginx::core::log::{Log, cycle_log};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::event::alarm::take_out;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::log_context::LogHandler;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_MAX_SUBREQUESTS, NGX_HTTP_MAX_URI_CHANGES, NGX_HTTP_MODULE, NGX_HTTP_UNKNOWN,
    ngx_connection_counter, ngx_connection_t, ngx_create_pool, ngx_destroy_pool, ngx_event_t,
    ngx_http_block_reading, ngx_http_max_module, ngx_http_request_t, ngx_listening_t, ngx_log_t,
};

/// The descriptor of a fake request's connection: that of no file.
const DESCRIPTOR: i32 = -1;

/// What a fake request takes from the request or connection that it is made for.
#[derive(Clone)]
pub struct Origin {
    configuration: Configuration,
    log: Log,
    listening: *mut ngx_listening_t,
    client: Vec<u8>,
}

impl Origin {
    /// The origin for a fake request that is made in `request`, which may be a fake request too.
    pub fn of(request: Request) -> Origin {
        // SAFETY: a live request has a live connection, whose address text is in its pool.
        let (listening, client) = unsafe {
            let c = &*request.connection();
            (c.listening, fallible::reason(crate::nginx::core::strings::bytes(c.addr_text)))
        };
        let configuration = Configuration::of(request);
        Origin { configuration, log: error_log(configuration), listening, client }
    }

    /// The origin for a fake request in a TLS handshake of a client's connection.
    ///
    /// # Safety
    /// `c` must be live.
    pub unsafe fn of_connection(c: *mut ngx_connection_t, configuration: Configuration) -> Origin {
        // SAFETY: the connection is live, the contract of this function; its address text is in its
        // pool.
        let (listening, client) = unsafe {
            ((*c).listening, fallible::reason(crate::nginx::core::strings::bytes((*c).addr_text)))
        };
        Origin { configuration, log: error_log(configuration), listening, client }
    }

    /// The origin for a worker hook, which logs to the cycle's log or, without `logs_to_cycle`, to
    /// the error log that the configuration names.
    pub fn of_worker(configuration: Configuration, logs_to_cycle: bool) -> Origin {
        let log = if logs_to_cycle { cycle_log() } else { error_log(configuration) };
        Origin { configuration, log, listening: null_mut(), client: Vec::new() }
    }
}

/// The location's error log, or the cycle's if it has none.
fn error_log(configuration: Configuration) -> Log {
    // SAFETY: nginx's core module has a configuration everywhere.
    match unsafe { configuration.core_location().as_ref() }.map(|core| core.error_log) {
        // SAFETY: the log lives as long as the configuration.
        Some(log) if !log.is_null() => unsafe { Log::from_ptr(log) },
        _ => cycle_log(),
    }
}

impl Request {
    /// Whether it is a fake request. Its context knows that too, and debug builds check that both
    /// agree; but lua-resty-core passes the request alone, and to find its context would cost each call
    /// more than this.
    #[inline(always)]
    pub fn is_fake(self) -> bool {
        // SAFETY: a live request has a connection.
        unsafe { (*self.connection()).fd == DESCRIPTOR }
    }
}

/// Who has it owns a fake request, or one that nginx has ended (see `detached`), and frees it with
/// [`FakeRequest::destroy`].
#[must_use = "nothing else frees the request"]
pub struct FakeRequest(Request);

/// Makes a fake request. `log_handler` writes the end of each of its log lines; the log's data is
/// the fake request's connection.
pub fn create(
    origin: &Origin,
    log_handler: Option<LogHandler>,
) -> Result<FakeRequest, OutOfMemory> {
    // SAFETY: all structures are zeroed nginx structures in one fresh pool, and filled as nginx
    // fills them; zero is valid for each.
    unsafe {
        let raw_pool = ngx_create_pool(4096, cycle_log().as_ptr());
        let pool = Pool::from_ptr(raw_pool).ok_or(OutOfMemory)?;
        let made = connection(pool, origin, log_handler).and_then(|c| request(c, origin));
        if made.is_err() {
            ngx_destroy_pool(raw_pool);
        }
        made.map(FakeRequest)
    }
}

/// A connection in `pool`, with a log and events of its own.
///
/// # Safety
/// What `origin` refers to must be live.
unsafe fn connection(
    pool: Pool,
    origin: &Origin,
    log_handler: Option<LogHandler>,
) -> Result<*mut ngx_connection_t, OutOfMemory> {
    // SAFETY: zeroed nginx structures in a fresh pool, filled as in `create`; what they are filled
    // from is live, the contract of this function.
    unsafe {
        let log = pool.zeroed::<ngx_log_t>()?.as_ptr();
        let read = pool.zeroed::<ngx_event_t>()?.as_ptr();
        let write = pool.zeroed::<ngx_event_t>()?.as_ptr();
        let c = pool.zeroed::<ngx_connection_t>()?.as_ptr();
        // SAFETY: nginx's workers share this counter, and only ever add to it.
        let counter = AtomicUsize::from_ptr(ngx_connection_counter.cast());
        let number = counter.fetch_add(1, Ordering::Relaxed);

        if let Some(parent) = origin.log.as_ptr().as_ref() {
            *log = *parent;
            (*log).action = null_mut();
        }
        (*log).connection = number as u64;
        (*log).handler = log_handler;
        (*log).data = c.cast();

        for (event, is_write) in [(read, 0), (write, 1)] {
            (*event).data = c.cast();
            (*event).log = log;
            (*event).set_write(is_write);
        }
        (*write).set_ready(1);

        (*c).fd = DESCRIPTOR;
        (*c).read = read;
        (*c).write = write;
        (*c).pool = pool.as_ptr();
        (*c).log = log;
        (*c).number = number as u64;
        (*c).requests = 1;
        (*c).listening = origin.listening;
        (*c).addr_text = pool.copy_str(&origin.client)?;
        (*c).set_error(1);
        Ok(c)
    }
}

/// A request on connection `c`, in the pool of that connection.
///
/// # Safety
/// `c` must come from [`connection`], and what `origin` refers to must be live.
unsafe fn request(c: *mut ngx_connection_t, origin: &Origin) -> Result<Request, OutOfMemory> {
    // SAFETY: zeroed nginx structures in a fresh pool, filled as in `create`; what they are filled
    // from is live, the contract of this function.
    unsafe {
        let pool = Pool::from_ptr((*c).pool).ok_or(OutOfMemory)?;
        let r = pool.zeroed::<ngx_http_request_t>()?.as_ptr();
        let slots = *std::ptr::addr_of!(ngx_http_max_module) * size_of::<*mut c_void>();
        let contexts = crate::nginx::sys::ngx_pcalloc(pool.as_ptr(), slots);
        if contexts.is_null() {
            return Err(OutOfMemory);
        }
        (*c).data = r.cast();
        (*r).signature = NGX_HTTP_MODULE;
        (*r).connection = c;
        (*r).pool = pool.as_ptr();
        (*r).ctx = contexts.cast();
        origin.configuration.set_on(r);
        (*r).read_event_handler = Some(ngx_http_block_reading);
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

impl FakeRequest {
    /// # Safety
    /// Once the request's connection has no descriptor, the request and the connection must be in
    /// the request's own pool, and nginx must not use them any more.
    pub(in crate::nginx) unsafe fn new(request: Request) -> FakeRequest {
        FakeRequest(request)
    }

    pub fn request(&self) -> Request {
        self.0
    }

    /// The connection that was made with it; none for a client's request that nginx has ended.
    #[cfg(ngx_feature = "http_ssl")]
    pub(in crate::nginx) fn connection(&self) -> Option<NonNull<ngx_connection_t>> {
        NonNull::new(self.0.connection()).filter(|_| self.0.is_fake())
    }

    /// Runs the cleanups of the request, and frees it. One that nginx has not ended yet stays
    /// nginx's.
    pub fn destroy(self) {
        let request = self.0;
        // SAFETY: `create` made the request, or `new`'s contract: its pool holds all of it, the
        // connection included, and is destroyed last. Nobody else owns it.
        unsafe {
            let r = request.as_ptr();
            if (*(*r).connection).fd >= 0 {
                return;
            }
            let mut cleanup = (*r).cleanup;
            (*r).cleanup = null_mut();
            while let Some(entry) = cleanup.as_ref() {
                if let Some(handler) = entry.handler {
                    handler(entry.data);
                }
                cleanup = entry.next;
            }
            let c = (*r).connection;
            crate::ngx_debug!(request.log(), "http lua close fake http connection {c:p}");
            for event in [(*c).read, (*c).write] {
                take_out(event);
            }
            (*c).set_destroyed(1);
            ngx_destroy_pool((*r).pool);
        }
    }
}

//! A request that lives on after nginx has ended it, for the code of the log phase that waits.
//!
//! nginx ends a request by destroying its pool. So in the log phase, the request gets a decoy for
//! its pool (`decoy.rs`), which nginx destroys instead, as the last thing that it does with the
//! request. Then the request gets its own pool back, a connection of its own (`connection.rs`), and
//! copies of what it had in the memory of nginx's connection (`memory.rs`, `pointers.rs`). From
//! then on it is like a fake request, and ends like one (`FakeRequest::destroy`).
//!
//! All that can fail is done in the log phase: once nginx has ended the request, nothing fails.

mod connection;
mod contexts;
mod decoy;
mod log;
mod memory;
mod pointers;

use std::ptr::{addr_of_mut, null_mut};

use export::callback;

pub use log::OwnLog;

use crate::nginx::core::bits;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::context_slot::ModuleContext;
use crate::nginx::http::fake::FakeRequest;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_buf_t, ngx_connection_t, ngx_http_block_reading, ngx_http_connection_t,
    ngx_http_request_empty_handler, ngx_http_request_t, ngx_pool_t, ngx_str_t,
};
use memory::Moved;

/// The descriptor of such a request's connection: that of no file, and another than a fake
/// request's.
const DESCRIPTOR: i32 = -2;

/// What the request gets once nginx has ended it.
struct Plan {
    r: *mut ngx_http_request_t,
    pool: *mut ngx_pool_t,
    decoy: *mut ngx_pool_t,
    connection: *mut ngx_connection_t,
    http_connection: *mut ngx_http_connection_t,
    header_in: *mut ngx_buf_t,
    /// nginx empties it before it destroys the pool.
    request_line: ngx_str_t,
    moved: Moved,
}

/// Has `request`, a main request in its log phase, live on until what this returns is destroyed.
/// `log`, to which the code of the log phase has logged so far, stays the request's log. `C` is this
/// module's context. Without memory, the request ends as if this had not been called.
pub fn detach<C: ModuleContext>(
    request: Request,
    log: &OwnLog,
) -> Result<FakeRequest, OutOfMemory> {
    let pool = request.pool();
    let mut moved = Moved::of(request)?;
    let r = request.as_ptr();
    // SAFETY: a live request in its log phase, whose pool all that is made here lives in. nginx
    // uses `r->pool` after the log phase only to destroy it.
    unsafe {
        let connection = connection::copy(request, log, &mut moved)?;
        (*connection).buffer = moved.copy_of(pool, (*(*r).connection).buffer)?;
        let http_connection = connection::copy_http(request, &moved)?;
        let plan = Plan {
            r,
            pool: pool.as_ptr(),
            decoy: null_mut(),
            connection,
            http_connection,
            header_in: connection::header_in(request, connection, http_connection)?,
            request_line: (*r).request_line,
            moved,
        };
        let mut plan = pool.own(plan)?;
        let own = log.as_ptr();
        plan.as_mut().decoy = decoy::create::<C>(pool, own, go_on, plan.as_ptr().cast())?;
        (*pool.as_ptr()).log = own;
        (*r).pool = plan.as_ref().decoy;
        // SAFETY: `go_on` gives it a connection without a descriptor, which is in its pool, once
        // nginx does nothing more with it.
        Ok(FakeRequest::new(request))
    }
}

impl Request {
    /// Whether it lives on after nginx has ended it.
    pub fn is_detached(self) -> bool {
        // SAFETY: a live request has a connection.
        unsafe { (*self.connection()).fd == DESCRIPTOR }
    }
}

/// nginx has ended the request: it is ours from now on.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn go_on(plan: *mut std::ffi::c_void) {
    // SAFETY: the plan that `detach` made, in the request's pool; nginx does nothing more with the
    // request, and the connection and its memory live until after this call.
    unsafe {
        let plan = &mut *plan.cast::<Plan>();
        let r = plan.r;
        let old = (*r).connection;
        decoy::merge(plan.decoy, plan.pool);
        (*r).pool = plan.pool;
        plan.moved.take_blocks(plan.pool);
        (*r).request_line = plan.request_line;
        (*r).connection = plan.connection;
        (*r).http_connection = plan.http_connection;
        (*r).header_in = plan.header_in;
        #[cfg(ngx_feature = "http_v2")]
        if let Some(stream) = (*r).stream.as_mut() {
            stream.connection = null_mut();
        }
        (*r).read_event_handler = Some(ngx_http_block_reading);
        (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        bits::set_count(r, 1);
        let log = log::context((*plan.connection).log);
        (*log).connection = plan.connection;
        pointers::adjust(&plan.moved, addr_of_mut!(*r));
        contexts::forget(r, old, &plan.moved);
    }
}

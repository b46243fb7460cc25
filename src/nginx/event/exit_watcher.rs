//! Tells when a worker begins to exit gracefully.
//!
//! nginx has no hook for that, but the first thing it does is to close idle connections, by calling
//! their read handlers. So this module keeps an idle connection without a socket, whose read
//! handler is the hook. It takes one of the worker's connections. Its descriptor is -2, not -1: a
//! worker that runs without a master counts connections with a descriptor other than -1 as alive,
//! and keeps the cycle that pending timers refer to.

use std::cell::Cell;
use std::ptr::{null, null_mut};

use export::callback;

use crate::nginx::core::log::cycle_log;
use crate::nginx::event::NoConnection;
use crate::nginx::sys::{
    ngx_connection_t, ngx_cycle, ngx_cycle_t, ngx_event_t, ngx_free_connection, ngx_get_connection,
};
use crate::own_thread;

own_thread! {
    /// The cycle that is watched, which the watcher's connection belongs to.
    static WATCHED: Cell<*const ngx_cycle_t> = Cell::new(null());
    static ON_EXIT: Cell<Option<fn()>> = Cell::new(None);
}

/// Has `on_exit` called once, when the worker begins to exit. There is one watcher per worker and
/// cycle, and none in a worker that is exiting already.
pub fn watch(on_exit: fn()) -> Result<(), NoConnection> {
    // SAFETY: ngx_cycle is the running cycle.
    let cycle = unsafe { *std::ptr::addr_of!(ngx_cycle) }.cast_const();
    if WATCHED.get() == cycle || crate::nginx::event::alarm::is_exiting() {
        return Ok(());
    }
    let c = with_slot_of_descriptor_0(|| {
        // SAFETY: descriptor 0 is only used as an index, whose entry is restored.
        unsafe { ngx_get_connection(0, cycle_log().as_ptr()) }
    });
    // SAFETY: a connection of nginx's, ours until it is freed.
    unsafe {
        let Some(connection) = c.as_mut() else { return Err(NoConnection) };
        connection.fd = -2;
        connection.set_idle(1);
        (*connection.read).handler = Some(closing);
        (*connection.read).log = cycle_log().as_ptr();
        connection.data = null_mut();
    }
    ON_EXIT.set(Some(on_exit));
    WATCHED.set(cycle);
    Ok(())
}

/// The read event of the watcher's connection: nginx closes its idle connections.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn closing(event: *mut ngx_event_t) {
    // SAFETY: nginx passes the event of the connection that `watch` made.
    unsafe {
        let c: *mut ngx_connection_t = (*event).data.cast();
        if (*c).close() == 0 {
            return;
        }
        (*(*c).read).set_closed(1);
        (*(*c).write).set_closed(1);
        (*c).fd = 0;
        with_slot_of_descriptor_0(|| ngx_free_connection(c));
        (*c).fd = -1;
    }
    if let Some(on_exit) = ON_EXIT.take() {
        on_exit();
    }
}

/// Runs `work`, which takes or frees a connection with descriptor 0, and restores the entry of
/// descriptor 0 in the table of connections that nginx keeps for some event methods.
fn with_slot_of_descriptor_0<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the running cycle; `files` is null, or has an entry for each descriptor.
    unsafe {
        let files = (**std::ptr::addr_of!(ngx_cycle)).files;
        if files.is_null() {
            return work();
        }
        let saved = *files;
        let result = work();
        *files = saved;
        result
    }
}

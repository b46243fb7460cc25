//! nginx's phase handlers and their order.

use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::callback::RequestHandler;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_array_push, ngx_http_core_main_conf_t, ngx_http_handler_pt, ngx_http_phase_handler_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE as ACCESS, ngx_http_phases_NGX_HTTP_LOG_PHASE as LOG,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE as PRECONTENT,
    ngx_http_phases_NGX_HTTP_REWRITE_PHASE as REWRITE,
    ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE as SERVER_REWRITE,
};

/// A phase of nginx that takes handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpPhase {
    ServerRewrite = SERVER_REWRITE as isize,
    Rewrite = REWRITE as isize,
    Access = ACCESS as isize,
    Precontent = PRECONTENT as isize,
    Log = LOG as isize,
}

/// Adds a handler to a phase.
#[expect(clippy::indexing_slicing, reason = "nginx has an element for each of its phases")]
pub fn add_handler(cf: Conf, phase: HttpPhase, handler: RequestHandler) -> Result<(), OutOfMemory> {
    // SAFETY: nginx's core configuration exists; the array holds ngx_http_handler_pt.
    unsafe {
        let core = Configuration::under(cf).core_main();
        let handlers = &mut (*core).phases[phase as usize].handlers;
        let slot: *mut ngx_http_handler_pt = ngx_array_push(handlers).cast();
        match slot.as_mut() {
            Some(slot) => *slot = Some(handler.0),
            None => return Err(OutOfMemory),
        }
        if phase == HttpPhase::Log && handlers.nelts > 1 {
            // nginx runs the log phase in the array's order: this handler must be the first.
            let all = handlers.as_slice_mut::<ngx_http_handler_pt>();
            all.rotate_right(1);
        }
    }
    Ok(())
}

/// Moves the running phase handler to the end of its phase; false if it is there already.
///
/// `after` says where the end is, counted back from the first step of the next phase: 1, or 2 for
/// the access phase, whose last step is nginx's own. If the handler was moved, the request must do
/// the phase's current step again: see [`redo_step`].
pub fn move_to_end(request: Request, after: usize) -> bool {
    // SAFETY: nginx's phase engine is an array of steps that lives as long as the cycle.
    // `phase_handler` and `next` are indexes of it, so all from `current` to `last` are within it.
    unsafe {
        let conf: *mut ngx_http_core_main_conf_t = Configuration::of(request).core_main();
        let handlers: *mut ngx_http_phase_handler_t = (*conf).phase_engine.handlers;
        let current = request.get().phase_handler as usize;
        let last = (*handlers.add(current)).next.saturating_sub(after);
        if current >= last {
            return false;
        }
        let steps = std::slice::from_raw_parts_mut(handlers.add(current), last - current + 1);
        steps.rotate_left(1);
        true
    }
}

/// Runs the phase's current step again, after another handler took its place.
pub fn redo_step(request: Request) {
    // SAFETY: a plain field of a live request.
    unsafe { (*request.as_ptr()).phase_handler -= 1 }
}

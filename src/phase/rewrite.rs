//! `rewrite_by_lua*`.

use std::rc::Rc as Shared;

use super::runner;
use crate::config::{LocationConf, MainConf};
use crate::nginx::sys::{ngx_http_core_run_phases, ngx_http_request_t, ngx_int_t};
use crate::nginx::{Rc, Request, connection, guard, hooks};
use crate::runtime::{Context, Phase, scheduler};

pub unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(Rc::HTTP_INTERNAL_SERVER_ERROR.0, || {
        // SAFETY: nginx passes a live request.
        let request = unsafe { Request::from_ptr(r) };
        request.map_or(Rc::DECLINED, enter).0
    })
}

fn enter(request: Request) -> Rc {
    runner::log_entry(request, "rewrite");
    if request.get().uri_changed() != 0 {
        return Rc::DECLINED;
    }
    if postpone(request) {
        return Rc::DECLINED;
    }
    let Some(script) = LocationConf::of(request).in_force().rewrite.as_ref() else {
        return Rc::DECLINED;
    };
    let context = match runner::context_of(request, Phase::Rewrite) {
        Ok(context) => context,
        Err(rc) => return rc,
    };
    if context.entered.get().rewrite {
        return settle(&context, scheduler::resume_woken(&context));
    }
    if let Some(rc) = runner::read_body_first(&context, runner::body_is_there) {
        return rc;
    }
    match runner::start(&context, script, Phase::Rewrite) {
        Ok(rc) => settle(&context, runner::settle_start(&context, rc)),
        Err(rc) => rc,
    }
}

/// At the first request, goes behind the rewrite handlers of other modules.
fn postpone(request: Request) -> bool {
    let main = MainConf::of(request);
    if main.rewrite_postponed.replace(true)
        || main.written.borrow().rewrite_no_postpone == Some(true)
    {
        return false;
    }
    let moved = hooks::move_to_end(request, 1);
    if moved {
        hooks::redo_step(request);
    }
    moved
}

/// What the phase's result means to nginx: go on, unless the script made the response.
fn settle(context: &Shared<Context>, rc: Rc) -> Rc {
    if rc != Rc::OK && rc != Rc::DECLINED {
        return rc;
    }
    if let Some(rc) = runner::end_if_responded(context) {
        return rc;
    }
    connection::set_write_handler(context.request(), ngx_http_core_run_phases);
    context.enter(|entered| entered.rewrite = false);
    Rc::DECLINED
}

//! How a context begins and ends, and how its memory serves the next request.
//!
//! A context whose request is gone waits in a short list, empty as a new one, unless somebody still
//! holds it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{BodyCount, Context, Switch};
use crate::config::{Phase, PhaseSet};
use crate::lua::Vm;
use crate::nginx::Request;
use crate::nginx::core::own_thread::Spares;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::recycled::Recycled;
use crate::nginx::http::cleanup::Shared;
use crate::own_thread;
use crate::runtime::ctx::NO_CTX;
use crate::runtime::filter::BodyFilter;
use crate::runtime::resources::Resources;
use crate::runtime::{ends, output};

/// How many contexts wait at most.
const MAX_IDLE: usize = 256;

own_thread! {
    static IDLE: Spares<Rc<Context>> = Spares::new(MAX_IDLE);
}

impl Context {
    /// A context with the worker's VM, or (`lua_code_cache off`) with one of its own.
    pub fn new(request: Request, vm: Rc<Vm>, phase: Phase) -> Rc<Context> {
        if let Some(mut idle) = IDLE.take()
            && let Some(context) = Rc::get_mut(&mut idle)
        {
            context.request = request;
            context.vm = Some(vm);
            context.phase.set(phase);
            context.fake = PhaseSet::FAKE.has(phase);
            return idle;
        }
        Rc::new(Context::fresh(request, vm, phase))
    }

    fn fresh(request: Request, vm: Rc<Vm>, phase: Phase) -> Context {
        Context {
            request,
            vm: Some(vm),
            fake: PhaseSet::FAKE.has(phase),
            on_result: Cell::new(None),
            timer_counted_out: Cell::new(false),
            phase: Cell::new(phase),
            entered: Cell::default(),
            entry: RefCell::default(),
            tasks: RefCell::default(),
            had_tasks: Cell::new(false),
            current: RefCell::default(),
            posted: RefCell::default(),
            woken: RefCell::default(),
            switch: Cell::new(Switch::Wait),
            on_abort: RefCell::default(),
            light_threads: Cell::new(0),
            released: Cell::new(false),
            share: Cell::new(None),
            end: RefCell::default(),
            no_abort: Cell::new(false),
            subrequests: RefCell::default(),
            pending_captures: Cell::new(0),
            owns_request_headers: Cell::new(false),
            waiting_more_body: Cell::new(false),
            body_read: Cell::new(false),
            body_readers: RefCell::default(),
            eof: Cell::new(false),
            header_sent: Cell::new(false),
            headers_set: Cell::new(false),
            mime_set: Cell::new(false),
            seen_body_data: Cell::new(false),
            buffering: Cell::new(false),
            body_count: Cell::default(),
            held: Cell::default(),
            recycled: RefCell::new(Recycled::new()),
            flushing: Cell::new(0),
            raw_socket_acquired: Cell::new(false),
            ctx_ref: Cell::new(NO_CTX),
            exit_code: Cell::new(0),
            resources: Resources::default(),
            downstream: RefCell::default(),
            body_filter: BodyFilter::new(),
            set_arguments: RefCell::default(),
            upstream_peer: Cell::new(None),
        }
    }

    /// Makes it what [`Context::fresh`] makes, but for the request. Every field is named here: one
    /// that is forgotten does not compile.
    fn empty(&mut self) {
        let Context {
            request: _,
            vm,
            fake: _,
            on_result,
            timer_counted_out,
            phase: _,
            entered,
            entry,
            tasks,
            had_tasks,
            current,
            posted,
            woken,
            switch,
            on_abort,
            light_threads,
            released,
            share,
            end,
            no_abort,
            subrequests,
            pending_captures,
            owns_request_headers,
            waiting_more_body,
            body_read,
            body_readers,
            eof,
            header_sent,
            headers_set,
            mime_set,
            seen_body_data,
            buffering,
            body_count,
            held,
            recycled,
            flushing,
            raw_socket_acquired,
            ctx_ref,
            exit_code,
            resources,
            downstream,
            body_filter,
            set_arguments,
            upstream_peer,
        } = self;
        *vm = None;
        on_result.set(None);
        for flag in [
            timer_counted_out,
            had_tasks,
            released,
            no_abort,
            owns_request_headers,
            waiting_more_body,
            body_read,
            eof,
            header_sent,
            headers_set,
            mime_set,
            seen_body_data,
            buffering,
            raw_socket_acquired,
        ] {
            flag.set(false);
        }
        for count in [light_threads, pending_captures, flushing] {
            count.set(0);
        }
        entered.set(PhaseSet::NONE);
        *entry.get_mut() = None;
        debug_assert!(tasks.get_mut().is_empty(), "released");
        *current.get_mut() = None;
        debug_assert!(posted.get_mut().is_empty() && woken.get_mut().is_empty(), "released");
        switch.set(Switch::Wait);
        *on_abort.get_mut() = None;
        share.set(None);
        *end.get_mut() = None;
        subrequests.get_mut().clear();
        body_readers.get_mut().clear();
        body_count.set(BodyCount::Off);
        held.set(output::Held::default());
        *recycled.get_mut() = Recycled::new();
        ctx_ref.set(NO_CTX);
        exit_code.set(0);
        resources.empty();
        *downstream.get_mut() = None;
        *body_filter = BodyFilter::new();
        set_arguments.get_mut().clear();
        upstream_peer.set(None);
    }

    /// Puts the context into nginx's slot, and a share of it into the request's pool.
    pub fn attach(self: &Rc<Self>) -> Result<(), OutOfMemory> {
        self.share.set(Some(self.request.share(self.clone())?));
        self.reattach();
        Ok(())
    }

    /// Asks nginx to tell when the request ends, however that comes about; once is enough. Needed
    /// where tasks wait for events, which must not come then, and where nginx empties its slot.
    pub fn watch_request_end(&self) -> Result<(), OutOfMemory> {
        match self.share.take() {
            Some(share) => share.tell_at_end(),
            None => Ok(()),
        }
    }

    /// Puts it into nginx's slot again, where nginx has emptied that.
    pub fn reattach(&self) {
        self.request.set_context(self);
    }

    /// Gives up a share. Where it was the last one of a context that is over, that waits for the next
    /// request.
    pub fn retire(mut context: Rc<Context>) {
        if !context.is_released() {
            return;
        }
        let Some(unshared) = Rc::get_mut(&mut context) else { return };
        unshared.empty();
        IDLE.keep(context);
    }

    /// The pool goes: nothing of nginx's may be touched any more.
    fn release(&self) {
        self.remove_all_tasks();
        self.close_resources();
        self.set_current(None);
        self.released.set(true);
        self.release_ctx();
    }
}

impl Shared for Context {
    fn at_end(&self) {
        ends::cleanup(self);
    }

    fn let_go(self: Rc<Self>) {
        self.release();
        Context::retire(self);
    }
}

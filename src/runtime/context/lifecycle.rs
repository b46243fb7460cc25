//! How a context begins and ends, and how its memory is reused for the next request.
//!
//! A context whose request has ended goes to a free list, reset to be like a new one, unless
//! something still has a share of it.

use std::cell::Cell;
use std::rc::Rc;

use super::rare::Rare;
use super::response_state::Output;
use super::tasks::Tasks;
use super::{Context, Ending, Life};
use crate::config::{Phase, PhaseSet};
use crate::lua::Vm;
use crate::nginx::Request;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::json_log;
use crate::nginx::core::lend::Lend;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::cleanup::SharedWithPool;
use crate::nginx::http::log_origin;
use crate::nginx::http::response_buffers::ResponseBuffers;
use crate::own_thread;
use crate::runtime::ends;

/// The most contexts that the free list keeps.
const MAX_IDLE: usize = 256;

own_thread! {
    static IDLE: FreeList<Rc<Context>> = FreeList::new(MAX_IDLE);
}

impl Life {
    /// That of a request whose first code is of `phase`.
    #[inline(always)]
    fn begun_in(phase: Phase) -> Life {
        if PhaseSet::FAKE.has(phase) { Life::Fake } else { Life::Served }
    }
}

impl Context {
    /// A context with the worker's VM, or (`lua_code_cache off`) with one of its own.
    #[inline(always)]
    pub fn new(request: Request, vm: Rc<Vm>, phase: Phase) -> Rc<Context> {
        debug_assert_eq!(Life::begun_in(phase) == Life::Fake, request.is_fake());
        if json_log::is_on() && !PhaseSet::FAKE.has(phase) {
            log_origin::learn(request);
        }
        if let Some(mut idle) = IDLE.take()
            && let Some(context) = Rc::get_mut(&mut idle)
        {
            context.response = ResponseBuffers::new(request);
            context.vm = Some(vm);
            context.phase.set(phase);
            context.life.set(Life::begun_in(phase));
            return idle;
        }
        Rc::new(Context::fresh(request, vm, phase))
    }

    #[cold]
    fn fresh(request: Request, vm: Rc<Vm>, phase: Phase) -> Context {
        Context {
            response: ResponseBuffers::new(request),
            vm: Some(vm),
            life: Cell::new(Life::begun_in(phase)),
            phase: Cell::new(phase),
            entered: Cell::default(),
            share: Cell::default(),
            tasks: Tasks::default(),
            ending: Ending::default(),
            output: Output::default(),
            rare: Rare::default(),
            rare_used: Cell::default(),
        }
    }

    /// Resets it to what [`Context::fresh`] makes, except for what [`Context::new`] sets. Every part is named
    /// here, so that a forgotten one does not compile.
    #[inline(always)]
    fn empty(&mut self) {
        let Context {
            response: _,
            vm,
            life: _,
            phase: _,
            entered,
            share,
            tasks,
            ending,
            output,
            rare,
            rare_used,
        } = self;
        *vm = None;
        entered.set(PhaseSet::NONE);
        share.take();
        tasks.reset();
        *ending = Ending::default();
        *output = Output::default();
        if rare_used.take() {
            rare.reset();
        }
    }

    /// Puts the context into nginx's slot, and a share of it into the request's pool.
    #[inline(always)]
    pub fn attach(self: &Rc<Self>) -> Result<(), OutOfMemory> {
        self.share.set(Some(self.request().share(self.clone())?));
        self.reattach();
        Ok(())
    }

    /// Asks nginx to report the end of the request, whatever its cause; further calls do nothing.
    /// Needed if tasks wait for events, which must not come after that, if the request holds
    /// resources, and if nginx clears its slot.
    pub fn watch_request_end(&self) -> Result<(), OutOfMemory> {
        match self.share.take() {
            Some(share) => share.tell_at_end(),
            None => Ok(()),
        }
    }

    /// Whether nginx will report the end of the request.
    pub(in crate::runtime) fn hears_of_end(&self) -> bool {
        self.share.lend(|share| share.is_none())
    }

    /// Puts it into nginx's slot again, if nginx has cleared that.
    pub fn reattach(&self) {
        self.request().set_context(self);
    }

    /// Gives up a share. If it was the last one of a context that has ended, the context goes to
    /// the free list.
    #[inline(always)]
    pub fn retire(context: Rc<Context>) {
        if context.is_released() {
            Context::reuse_late(context);
        }
    }

    /// As [`Context::reuse`], where its request has ended before its code.
    #[cold]
    fn reuse_late(context: Rc<Context>) {
        Context::reuse(context);
    }

    #[inline(always)]
    fn reuse(mut context: Rc<Context>) {
        let Some(unshared) = Rc::get_mut(&mut context) else { return };
        unshared.empty();
        drop(IDLE.keep(context));
    }

    /// The pool is being destroyed: nginx's structures must not be used any more.
    #[inline(always)]
    fn release(&self) {
        let is_rare_used = self.rare_used.get();
        if is_rare_used {
            self.end_filter();
        }
        self.remove_all_tasks();
        if is_rare_used {
            self.close_resources();
            self.pending_log.take();
        }
        self.set_current(None);
        self.life.set(Life::Released);
        if is_rare_used {
            self.release_ctx();
        }
    }

    /// nginx has ended the request, which lives on until its code has ended.
    pub(in crate::runtime) fn detach(&self) {
        debug_assert_eq!(self.life.get(), Life::Served, "nginx has ended a request of its own");
        self.life.set(Life::Detached);
    }

    /// Ends a context that has no share in a pool: that of a filter's run.
    pub(in crate::runtime) fn close(&self) {
        self.set_current(None);
        self.end_generation();
        self.life.set(Life::Released);
    }
}

impl SharedWithPool for Context {
    fn at_end(&self) {
        self.end_filter();
        ends::cleanup(self);
        self.close_resources();
    }

    #[inline(always)]
    fn let_go(self: Rc<Self>) {
        self.release();
        Context::reuse(self);
    }
}

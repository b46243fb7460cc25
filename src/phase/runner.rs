//! The driver of the phases of a request up to its response, which can wait: server_rewrite,
//! rewrite, access, precontent, content.
//!
//! nginx enters a phase handler for the first time, and again after each event. The first time, the
//! phase's script starts as the request's entry thread; later, the woken task continues.

use std::rc::Rc;

use codec::fallible::OutOfMemory;

use crate::config::code::{ScriptError, SharedScript};
use crate::config::{Location, LocationConf, MainConf, Script};
use crate::lua::vm::Owner;
use crate::lua::{CodeKey, Thread, Vm};
use crate::nginx::core::allocator;
use crate::nginx::core::log::Shown;
use crate::nginx::http::request_body;
use crate::nginx::http::request_body::BodyRead;
use crate::nginx::http::{callback, phases};
use crate::nginx::{Level, Request, Status};
use crate::runtime::context::BodyState;
use crate::runtime::context::response_state::Stage;
use crate::runtime::{Context, Phase, Task, client_watch, counters, output, scheduler, vm};
use crate::{ngx_debug, ngx_log};

/// Writes the debug line for each call of a filter.
pub fn log_filter(request: Request, phase: Phase) {
    let filter = phase.row().short;
    let uri = Shown(request.uri());
    ngx_debug!(request.log(), "lua {filter} filter for user lua code, uri \"{uri}\"");
}

/// Writes the debug line for each call of a phase handler.
#[inline(always)]
pub fn log_entry(request: Request, phase: Phase) {
    ngx_debug!(
        request.log(),
        "lua {} handler, uri:\"{}\" c:{}",
        phase.row().short,
        Shown(request.uri()),
        request.references()
    );
}

/// The request's context, made at the phase's first use of it.
#[inline(always)]
pub fn context_of(request: Request, phase: Phase) -> Result<Rc<Context>, Status> {
    match Context::of(request) {
        Some(context) => Ok(context),
        None => new_context(request, LocationConf::of(&request), phase),
    }
}

#[inline(never)]
fn new_context(request: Request, location: &Location, phase: Phase) -> Result<Rc<Context>, Status> {
    make_context(request, location, phase)
}

/// As [`new_context`], for a caller that mostly needs one.
#[inline(always)]
fn make_context(
    request: Request,
    location: &Location,
    phase: Phase,
) -> Result<Rc<Context>, Status> {
    let main = MainConf::of(&request);
    let Some(vm) = main.vm() else {
        return Err(Status::HTTP_INTERNAL_SERVER_ERROR);
    };
    has_memory(request, &vm, allocator::check)?;
    if vm.is_watched() && location.code_cache() {
        pin_code(request, &vm, location)?;
    }
    if location.ctx_inherit()
        && let Some(context) = heir(request, location.code_cache(), phase)?
    {
        return Ok(context);
    }
    if location.code_cache() {
        return attached(Context::new(request, vm, phase));
    }
    new_uncached(request, phase)
}

/// `lua_code_cache off`: a context with a VM of its own.
#[cold]
fn new_uncached(request: Request, phase: Phase) -> Result<Rc<Context>, Status> {
    let vm = own_vm(request)?;
    // The pool drops the request's share, after everything else of the context.
    let owned = request.pool().own(Owner::new(vm.clone()));
    owned.map_err(|_| Status::HTTP_INTERNAL_SERVER_ERROR)?;
    attached(Context::new(request, vm, phase))
}

/// `lua_code_cache stat`: looks for changed code, and has the request keep what is the newest code
/// now, until it ends.
#[cold]
fn pin_code(request: Request, vm: &Rc<Vm>, location: &Location) -> Result<(), Status> {
    let begins = vm.begin_watched(request, location.looks_for_changes()).map_err(|reason| {
        request.log().write(Level::Err, &reason);
        Status::HTTP_INTERNAL_SERVER_ERROR
    })?;
    if begins {
        let pinned = PinnedCode { vm: vm.clone(), key: CodeKey::of(request) };
        let owned = request.main().pool().own(pinned);
        owned.map_err(|_| Status::HTTP_INTERNAL_SERVER_ERROR)?;
    }
    Ok(())
}

/// Of a main request: the VM lets go of its code when it ends.
struct PinnedCode {
    vm: Rc<Vm>,
    key: CodeKey,
}

impl Drop for PinnedCode {
    fn drop(&mut self) {
        self.vm.finish_watched(self.key);
    }
}

/// `lua_ctx_inherit on`: a context with the `ngx.ctx` table that the request had before nginx sent
/// it here, and the VM that has the table; `None` if there is none.
#[cold]
fn heir(request: Request, caches_code: bool, phase: Phase) -> Result<Option<Rc<Context>>, Status> {
    let former = Context::former(request, |vm| vm.caches_code() == caches_code);
    let Some(former) = former else { return Ok(None) };
    let context = Context::new(request, former.vm().clone(), phase);
    if !context.inherit_ctx(&former) {
        return Err(Status::HTTP_INTERNAL_SERVER_ERROR);
    }
    attached(context).map(Some)
}

/// Whether `ask` gets its memory, if need be after collecting garbage.
#[inline(always)]
fn has_memory(
    request: Request,
    vm: &Vm,
    ask: fn() -> Result<(), OutOfMemory>,
) -> Result<(), Status> {
    ask().or_else(|_| ask_again(request, vm, ask))
}

#[cold]
fn ask_again(
    request: Request,
    vm: &Vm,
    ask: fn() -> Result<(), OutOfMemory>,
) -> Result<(), Status> {
    vm.release_memory();
    ask().map_err(|_| {
        request.log().write(Level::Err, b"no memory to run Lua code");
        Status::HTTP_INTERNAL_SERVER_ERROR
    })
}

#[inline(always)]
fn attached(context: Rc<Context>) -> Result<Rc<Context>, Status> {
    context.attach().map_err(|_| Status::HTTP_INTERNAL_SERVER_ERROR)?;
    Ok(context)
}

/// `lua_code_cache off`: a VM of the request's own.
#[cold]
fn own_vm(request: Request) -> Result<Rc<Vm>, Status> {
    let main = MainConf::of(&request);
    let parent = main.vm();
    match vm::make(crate::nginx::core::process::prefix().bytes(), main, parent.as_deref(), false) {
        Ok(vm) => {
            vm.collect_in_time();
            let init = main.written.borrow().init.clone();
            if let Some(init) = init
                && super::hook::run(&vm, &init, request.log()).is_err()
            {
                return Err(Status::HTTP_INTERNAL_SERVER_ERROR);
            }
            Ok(Rc::new(vm))
        }
        Err(error) => {
            request.log().write(Level::Err, &vm::message(error));
            Err(Status::HTTP_INTERNAL_SERVER_ERROR)
        }
    }
}

/// What distinguishes one phase whose code can wait from another.
pub struct WaitingPhase {
    pub phase: Phase,
    /// Runs the ready threads after the code's first run, which had this result.
    pub go_on: fn(&Rc<Context>, Status) -> Status,
    /// Translates the result of the code for nginx.
    pub settle: fn(&Rc<Context>, Status) -> Status,
    /// The event for when the request body has been read.
    pub body_is_there: callback::Event,
}

/// The handler of a phase: nginx enters it for the first time, or after an event. Each phase has its own copy, in
/// which what it waits for is known.
#[inline(always)]
pub fn enter(request: Request, waiting: &WaitingPhase) -> Status {
    let phase = waiting.phase;
    log_entry(request, phase);
    let location: &Location = LocationConf::of(&request);
    let Some(script) = location.script(phase) else {
        return Status::DECLINED;
    };
    let (context, is_new) = match Context::of(request) {
        Some(context) => {
            if context.has_entered(phase) {
                return (waiting.settle)(&context, scheduler::resume_woken(&context));
            }
            (context, false)
        }
        None => match make_context(request, location, phase) {
            Ok(context) => (context, true),
            Err(rc) => return rc,
        },
    };
    if location.need_request_body()
        && let Some(rc) = read_body_first(&context, waiting.body_is_there)
    {
        return rc;
    }
    if !is_new {
        context.begin_phase();
    }
    match start(&context, location, script, phase) {
        Ok(rc) => (waiting.settle)(&context, (waiting.go_on)(&context, rc)),
        Err(rc) => rc,
    }
}

/// At the first request, moves the handler of `phase` to the end of its phase, which `after` says
/// as for [`phases::move_to_end`]. True if it was moved: nginx must do the phase's step again.
pub fn postpone(request: Request, phase: Phase, after: usize) -> bool {
    if !MainConf::of(&request).is_to_postpone(phase) {
        return false;
    }
    let moved = phases::move_to_end(request, after);
    if moved {
        phases::redo_step(request);
    }
    moved
}

/// Reads the request body first, because `lua_need_request_body` asks for it.
///
/// `Some(rc)`: the phase handler must return that now, and is entered again when the body has been
/// read.
fn read_body_first(context: &Rc<Context>, after: callback::Event) -> Option<Status> {
    match context.body.state.get() {
        BodyState::Awaited => return Some(Status::DONE),
        BodyState::Read => return None,
        BodyState::Unread => {}
    }
    match request_body::read(context.request(), after) {
        BodyRead::Failed(rc) => Some(rc),
        BodyRead::Waiting => {
            context.body.state.set(BodyState::Awaited);
            Some(Status::DONE)
        }
        BodyRead::Done => None,
    }
}

/// Starts `script` as the request's entry thread and runs it until it waits or ends.
#[inline(always)]
fn start(
    context: &Rc<Context>,
    location: &Location,
    script: &SharedScript,
    phase: Phase,
) -> Result<Status, Status> {
    has_memory(context.request(), context.vm(), Task::reserve)?;
    // What the log and the counters say of code that cannot be loaded is said of its phase.
    context.phase.set(phase);
    let thread = load(context, script)?;
    context.enter(phase);
    if !client_watch::listen(context, location.check_client_abort()) {
        context.vm().give_back_thread(thread, true, context.request().log());
        return Err(Status::ERROR);
    }
    let rc = scheduler::start(context, thread, 0);
    if rc == Status::AGAIN || context.request().filter_finalized() {
        context.watch_request_end().map_err(|_| Status::HTTP_INTERNAL_SERVER_ERROR)?;
    }
    Ok(rc)
}

/// A coroutine with the function of `script` on its stack; errors have been logged.
#[inline(always)]
pub fn load(context: &Context, script: &Script) -> Result<Thread, Status> {
    let request = context.request();
    let vm = context.vm();
    let Ok(thread) = vm.take_thread(request.log()) else {
        return Err(no_coroutine(request));
    };
    if let Err(error) = script.load(vm, thread.state, request) {
        vm.give_back_thread(thread, true, request.log());
        counters::count_load_error(context.phase.get());
        return Err(load_failed(request, error));
    }
    Ok(thread)
}

#[cold]
pub fn no_coroutine(request: Request) -> Status {
    ngx_log!(request.log(), Level::Err, "lua: failed to create new coroutine to handle request");
    Status::HTTP_INTERNAL_SERVER_ERROR
}

/// Logs that a script could not be loaded; returns the status for the request.
#[cold]
pub fn load_failed(request: Request, error: ScriptError) -> Status {
    match error {
        ScriptError::Load(error) => {
            request.log().write(Level::Err, &error.message());
            Status(error.status())
        }
        ScriptError::Path => Status::HTTP_INTERNAL_SERVER_ERROR,
    }
}

/// Ends the request here if a script of an earlier phase has made the response, or begun to.
///
/// `Some(rc)`: the phase handler must return that; no later phase may make a response again.
pub fn end_if_responded(context: &Rc<Context>) -> Option<Status> {
    if !context.is_header_sent() && !context.output.buffering.get() {
        return None;
    }
    if context.output.stage.get() != Stage::Ended {
        let rc = output::send_last(context);
        if rc == Status::ERROR || rc.0 > 0 {
            return Some(rc);
        }
    }
    Some(Status::HTTP_OK)
}

/// The request body has been read: nginx's phases go on.
pub fn body_is_there(request: Request) {
    request_body::drop_reference(request);
    let Some(context) = Context::of(request) else { return };
    if context.body.state.replace(BodyState::Read) == BodyState::Awaited {
        request.run_phases();
    }
}

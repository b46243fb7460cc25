//! `log_by_lua*`, and `lua_malloc_trim`, which counts requests at the same place.

use std::rc::Rc;

use super::runner;
use crate::config::code::SharedScript;
use crate::config::{LocationConf, MainConf};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::process;
use crate::nginx::http::detached::OwnLog;
use crate::nginx::{Level, Request, Status};
use crate::ngx_debug;
use crate::runtime::{Context, Phase, Task, pending_log, scheduler};

/// nginx's log phase.
pub fn enter(request: Request) -> Status {
    count_for_malloc_trim(request);
    runner::log_entry(request, Phase::Log);
    let Some(script) = LocationConf::of(&request).script(Phase::Log) else {
        return Status::DECLINED;
    };
    let Ok(context) = runner::context_of(request, Phase::Log) else {
        return Status::ERROR;
    };
    let before = context.replace_phase(Phase::Log);
    let rc = run(&context, script);
    if !context.is_detached() {
        context.phase.set(before);
    }
    rc
}

/// Runs `script` until it ends or waits. Code that waits goes on without nginx.
fn run(context: &Rc<Context>, script: &SharedScript) -> Status {
    let request = context.request();
    let ran = Task::reserve()
        .and_then(|()| OwnLog::during(request, |log| run_logging_to(context, script, log)));
    ran.unwrap_or_else(|error| no_memory(context, error))
}

fn run_logging_to(context: &Rc<Context>, script: &SharedScript, log: &OwnLog) -> Status {
    let Ok(thread) = runner::load(context, script) else { return Status::ERROR };
    context.begin_phase();
    match scheduler::settle(context, scheduler::start(context, thread, 0)) {
        Status::OK => Status::OK,
        Status::DONE => go_on(context, log),
        _ => Status::ERROR,
    }
}

/// The code waits: the request lives on for it, or else it ends.
fn go_on(context: &Rc<Context>, log: &OwnLog) -> Status {
    match pending_log::keep(context, log) {
        Ok(()) => Status::OK,
        Err(refusal) => {
            context.remove_all_tasks();
            refusal.log(context.request().log());
            Status::ERROR
        }
    }
}

#[cold]
fn no_memory(context: &Context, _: OutOfMemory) -> Status {
    context.vm().release_memory_soon();
    context.request().log().write(Level::Err, b"no memory to run Lua code");
    Status::ERROR
}

/// Has the C library return free memory to the system once every `lua_malloc_trim` requests.
fn count_for_malloc_trim(request: Request) {
    let main = MainConf::of(&request);
    let cycle = main.malloc_trim();
    if cycle == 0 {
        ngx_debug!(request.log(), "malloc_trim() disabled");
        return;
    }
    let count = main.requests_since_trim.get() + 1;
    if count < cycle {
        main.requests_since_trim.set(count);
        return;
    }
    main.requests_since_trim.set(0);
    let released = process::malloc_trim();
    ngx_debug!(request.log(), "malloc_trim(1) returned {released}");
}

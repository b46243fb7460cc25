//! `ngx.run_worker_thread(pool, module, function, arguments…)`.

use codec::fallible;

use super::{copy, give_back, start, take_vm};
use crate::api::call::{Call, Row, set_functions};
use crate::lua::Outcome;
use crate::lua::state::GLOBALS;
use crate::lua::{Kind, LuaResult, Returns, State};
use crate::nginx::core::thread_pool::ThreadPool;
use crate::runtime::PhaseSet;

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    const RUN: Row =
        Row::in_phases::<{ PhaseSet::YIELDABLE.0 }, _>(c"run_worker_thread", run_worker_thread);
    set_functions(state, &[RUN]);
}

/// Returns `false` and the text.
fn refuse(call: &Call, text: &[u8]) -> LuaResult {
    call.state.push_bool(false);
    call.state.push_bytes(text);
    Ok(Returns::Values(2))
}

fn run_worker_thread(call: &Call) -> LuaResult {
    let state = call.state;
    let n = call.arguments();
    if n < 3 {
        return refuse(call, b"expecting at least 3 arguments");
    }
    let Some(name) = state.bytes(1) else {
        return refuse(call, b"threadpool should be a string");
    };
    let Some(pool) = ThreadPool::find(name) else {
        return refuse(call, &fallible::concat(&[b"thread pool ", name, b" not found"])?);
    };
    let Some(module) = state.bytes(2) else {
        return refuse(call, b"module name should be a string");
    };
    let Some(function) = state.bytes(3) else {
        return refuse(call, b"function name should be a string");
    };
    state.reserve(4)?;
    let task = call.task()?;
    let Some(vm) = take_vm(call.context) else {
        return refuse(call, b"no available Lua vm");
    };
    if let Err(reason) = prepare(state, vm.vm.state(), module, function) {
        give_back(vm);
        return refuse(call, &reason);
    }
    if !start(pool, vm, n - 3, &task) {
        return refuse(call, b"ngx_thread_task_post failed");
    }
    Ok(Returns::Yield(0))
}

/// Puts the function and copies of the arguments (those of `from` behind the third) onto the
/// stack of the thread's VM.
fn prepare(mut from: State, vm: State, module: &[u8], function: &[u8]) -> Result<(), Vec<u8>> {
    let top = from.top();
    let mut refused = None;
    let produced = vm.produce(top - 2, |vm| {
        refused =
            push_function(vm, module, function).and_then(|()| push_arguments(from, top, vm)).err();
    });
    from.set_top(top);
    produced?;
    refused.map_or(Ok(()), Err)
}

/// Loads the module in the thread's VM, and pushes the function of that name in it.
fn push_function(mut vm: State, module: &[u8], function: &[u8]) -> Result<(), Vec<u8>> {
    vm.get_field(GLOBALS, c"require");
    vm.push_bytes(module);
    if vm.call(1, 1, 0) != Outcome::Done {
        return Err(vm.take_error());
    }
    if vm.kind(-1) != Kind::Table {
        return Err(b"invalid lua module".into());
    }
    if function.contains(&0) {
        return Err(b"invalid function".into());
    }
    let name = fallible::c_string(function).map_err(|_| fallible::reason(b"no memory"))?;
    vm.get_field(-1, &name);
    if vm.kind(-1) != Kind::Function {
        return Err(b"invalid function".into());
    }
    vm.remove(1);
    Ok(())
}

/// Pushes copies of the arguments of `from`, from the fourth to number `top`.
fn push_arguments(from: State, top: i32, vm: State) -> Result<(), Vec<u8>> {
    if vm.reserve(top).is_err() {
        return Err(copy::STACK_OVERFLOW.into());
    }
    for index in 4..=top {
        copy::value(from, index, vm).map_err(|reason| {
            fallible::text(format_args!("{reason} in the argument")).into_bytes()
        })?;
    }
    Ok(())
}

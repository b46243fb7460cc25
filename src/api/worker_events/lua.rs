//! The functions of `ngx.worker.events`, and calls of the Lua functions that they were given.

use codec::fallible;
use codec::message_ring::Message;

use super::{MessageKind, Refusal};
use crate::api::call::{Call, Row, set_functions};
use crate::api::timer::TimerHandler;
use crate::config::MainConf;
use crate::lua::Anchor;
use crate::lua::state::GLOBALS;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State, openresty};
use crate::nginx::Level;
use crate::nginx::core::log::{Shown, cycle_log};
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::fake;
use crate::ngx_log;
use crate::runtime::PhaseSet;

const FUNCTIONS: &[Row] = &[
    Row::in_phases::<{ PhaseSet::ALL.0 }, _>(c"post", post),
    Row::anywhere(c"on", on),
    Row::anywhere(c"on_lost", on_lost),
];

/// Puts `events` into `ngx.worker`, which lua-resty-core has made. (A `resty.core` of someone else
/// may not have made it.)
pub fn complete(mut state: State) {
    let top = state.top();
    state.get_field(GLOBALS, c"ngx");
    state.get_field(-1, c"worker");
    if state.kind(-1) == Kind::Table {
        state.new_table(0, FUNCTIONS.len() as i32);
        set_functions(state, FUNCTIONS);
        state.set_field(-2, c"events");
    }
    state.set_top(top);
}

/// `(name, data [, worker])`: true, or nil and the reason.
fn post(call: &Call) -> LuaResult {
    let state = call.state;
    let to = match state.is_nil_or_none(3) {
        true => None,
        // No worker has a number that does not fit, and none has -1.
        false => Some(i32::try_from(state.check_integer(3)?).unwrap_or(-1)),
    };
    let (name, data) = (state.check_bytes(1)?, state.check_bytes(2)?);
    match super::post(call.context.main_conf(), MessageKind::Lua, to, name, data) {
        Ok(()) => {
            state.push_bool(true);
            Ok(Returns::Values(1))
        }
        Err(refusal) => call.fail(refusal.text()),
    }
}

/// `(name, function or nil)`: the function is called for each message with that name; nil ends
/// that.
fn on(state: State) -> LuaResult {
    let Some(current) = conf_of(state)? else { return Ok(Returns::Values(0)) };
    let main = MainConf::of(&current);
    let name = state.check_bytes(1)?;
    let function = take_function(state, 2)?;
    let mut handlers = main.events.handlers.borrow_mut();
    let former = match function {
        Some(anchor) => {
            let key = fallible::copy(name);
            match key.and_then(|key| handlers.try_reserve(1).map(|()| key).map_err(Into::into)) {
                Ok(key) => handlers.insert(key, anchor),
                Err(error) => {
                    state.release(anchor);
                    return Err(error.into());
                }
            }
        }
        None => handlers.remove(name),
    };
    release(state, former)
}

/// `(function or nil)`: the function is called with the number of messages that this worker has
/// lost.
fn on_lost(state: State) -> LuaResult {
    let Some(current) = conf_of(state)? else { return Ok(Returns::Values(0)) };
    let main = MainConf::of(&current);
    let anchor = take_function(state, 1)?;
    release(state, main.events.on_lost.replace(anchor))
}

/// Gives up the function that was replaced; returns no values.
fn release(state: State, former: Option<Anchor>) -> LuaResult {
    if let Some(former) = former {
        state.release(former);
    }
    Ok(Returns::Values(0))
}

/// Anchors the function at `index`; `None` for nil.
fn take_function(mut state: State, index: i32) -> Result<Option<Anchor>, LuaError> {
    if state.is_nil_or_none(index) {
        return Ok(None);
    }
    if !state.is_lua_function(index) {
        return Err(LuaError::argument(index, "Lua function expected"));
    }
    state.push_value(index);
    Ok(Some(state.anchor()))
}

/// The configuration that the calling code belongs to. `None` for code of `init_by_lua*` that runs
/// for a request's own VM (`lua_code_cache off`): it has run in the worker's VM before. Other code
/// in such a VM is refused.
fn conf_of(state: State) -> Result<Option<Configuration>, LuaError> {
    let is_init = openresty::running_request(state).is_none();
    let current = Configuration::current()
        .filter(|current| MainConf::of(current).events.zone().is_some())
        .ok_or_else(|| LuaError::text(Refusal::NotConfigured.text()))?;
    let is_workers_own =
        MainConf::of(&current).vm().is_some_and(|vm| vm.main().shares_vm_with(state));
    if is_workers_own || is_init {
        return Ok(is_workers_own.then_some(current));
    }
    Err(LuaError::text(
        "not with lua_code_cache off, which ends with the request what it would call",
    ))
}

/// Calls the function for a message's name, if there is one: `(data, name, sender)`.
pub fn call_handler(main: &MainConf, message: &Message) {
    let name = message.name.as_slice();
    if !main.events.handlers.borrow().contains_key(name) {
        return;
    }
    let function = |state: State| push(state, main.events.handlers.borrow().get(name));
    let ran = run(main, function, 3, |state| {
        state.push_bytes(&message.data);
        state.push_bytes(&message.name);
        state.push_integer(message.head.from.into());
    });
    if let Err(reason) = ran {
        let (name, reason) = (Shown(&message.name), Shown(&reason));
        ngx_log!(
            cycle_log(),
            Level::Alert,
            "lua_worker_events: cannot run the function for \"{name}\": {reason}"
        );
    }
}

/// Logs how many messages this worker has lost, and calls the function of `on_lost`, if there is
/// one.
pub fn tell_of_loss(main: &MainConf, count: u64) {
    ngx_log!(
        cycle_log(),
        Level::Warn,
        "lua_worker_events: this worker did not read its messages for too long, and has lost {count} of them"
    );
    if main.events.on_lost.borrow().is_none() {
        return;
    }
    let function = |state: State| push(state, main.events.on_lost.borrow().as_ref());
    if let Err(reason) = run(main, function, 1, |state| state.push_integer(count as i64)) {
        let reason = Shown(&reason);
        ngx_log!(cycle_log(), Level::Alert, "lua_worker_events: cannot tell of the loss: {reason}");
    }
}

/// Pushes the function, or nil.
fn push(state: State, function: Option<&Anchor>) {
    match function {
        Some(function) => state.push_anchored(function),
        None => state.push_nil(),
    }
}

/// Runs the function that `function` pushes, with the `count` arguments that `arguments` pushes, until it
/// waits or ends. An error is the reason why it cannot.
///
/// Lua's finalizers may run before that, and may call the functions of `ngx.worker.events`: so
/// `function` borrows what they set for as long as it pushes. It pushes nil if they have just taken
/// the function back.
fn run(
    main: &MainConf,
    function: impl FnOnce(State),
    count: i32,
    arguments: impl FnOnce(State),
) -> Result<(), Vec<u8>> {
    let vm = main.vm().ok_or_else(|| Vec::from(b"no VM"))?;
    let mut handler = TimerHandler::new(&vm)?;
    let mut state = vm.main();
    state.produce(count + 1, |state| {
        function(state);
        arguments(state);
    })?;
    if state.is_nil_or_none(-count - 1) {
        state.pop(count + 1);
        return Ok(());
    }
    state.move_to(handler.state, count + 1);
    let configuration = main.hook_configuration.get().ok_or_else(|| Vec::from(b"no location"))?;
    let origin = fake::Origin::of_worker(*configuration, false);
    handler.start(&origin, main, |state| state.top() - 1).map_err(String::into_bytes)
}

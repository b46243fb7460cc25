//! Captured responses as Lua tables with `status`, `header`, `body` and `truncated`.

use std::rc::Rc;

use super::Captured;
use crate::api::value_lists;
use crate::lua::Outcome;
use crate::lua::State;
use crate::lua::registry::CAPTURED_RESPONSE;
use crate::nginx::http::headers_out::captured;
use crate::nginx::http::headers_out::captured::FieldValue;
use crate::nginx::http::{request_body, send};
use crate::nginx::{Chain, Request};
use crate::runtime::{Context, Task};

/// The stack space that is needed besides that for the responses themselves.
pub const ROOM: i32 = 8;

/// Pushes a table for each response onto the task's stack; returns their number. An error is the
/// text for the log.
pub fn push_all(context: &Rc<Context>, task: &Task, captured: &[Captured]) -> Result<i32, Vec<u8>> {
    let count = captured.len() as i32;
    let mut main = context.main_state();
    main.produce(count, |state| {
        if let Err(error) = state.reserve(count + ROOM) {
            state.raise(error);
        }
        for response in captured {
            push(state, response);
        }
    })?;
    if task.state().reserve_waiting(|| Some(main), count + 1).is_err() {
        main.pop(count);
        return Err(b"no stack space for captured responses".into());
    }
    main.move_to(task.state(), count);
    recycle(context, captured);
    Ok(count)
}

/// Puts the function that makes a response's table into the registry.
pub fn inject(mut state: State) {
    let code = include_bytes!("../../../lua/captured_response.lua");
    match state.load(code, c"=captured_response") {
        Outcome::Done => state.register(CAPTURED_RESPONSE),
        Outcome::Yielded | Outcome::Failed(_) => state.pop(1),
    }
}

/// Pushes the table of one response; raises without memory.
fn push(mut state: State, response: &Captured) {
    state.push_registered(CAPTURED_RESPONSE);
    state.push_integer(response.status.get() as i64);
    state.push_bool(!response.complete.get());
    push_body(state, response.body.get());
    push_headers(state, response.request.get());
    state.call_raising(6, 1);
}

/// Pushes the body as a string.
fn push_body(state: State, body: Chain) {
    let mut bufs = body.bufs();
    match (bufs.next(), bufs.next()) {
        (None, _) => state.push_bytes(b""),
        (Some(only), None) => state.push_bytes(only.memory()),
        _ => match request_body::copy(body, usize::MAX) {
            Ok(whole) => state.push_bytes(&whole),
            Err(error) => state.raise(error.into()),
        },
    }
}

/// Gives the buffers of the bodies back, for the parent's own output.
fn recycle(context: &Context, captured: &[Captured]) {
    for response in captured {
        let body = response.body.replace(Chain::EMPTY);
        body.bufs().for_each(|mut buf| buf.consume());
        context.response.sent(body, send::tag());
    }
}

/// Pushes the table of headers, or nil if there are but two at most; and these two.
fn push_headers(state: State, request: Option<Request>) {
    if let Some(request) = request.filter(|request| captured::has_others(*request)) {
        push_table_of_headers(state, request);
        state.push_nil();
        state.push_nil();
        return;
    }
    state.push_nil();
    match request.as_ref().and_then(captured::content_type) {
        Some(content_type) => state.push_bytes(content_type),
        None => state.push_nil(),
    }
    match request.and_then(captured::content_length) {
        Some(length) => state.push_integer(length),
        None => state.push_nil(),
    }
}

/// Pushes the table of headers; one that comes more than once has a list of its values.
fn push_table_of_headers(mut state: State, request: Request) {
    state.new_table(0, captured::count(request) as i32);
    captured::listed(request, |name, value| {
        value_lists::add(state, state.top(), name, |state| state.push_bytes(value));
    });
    captured::fields(request, |name, value| {
        state.push_bytes(name);
        match value {
            FieldValue::Text(text) => state.push_bytes(text),
            FieldValue::Number(number) => state.push_integer(number),
        }
        state.raw_set(-3);
    });
}

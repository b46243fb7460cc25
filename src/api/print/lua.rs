//! The Lua functions that send the response.

use crate::api::call::{Call, ObjectRow, Row, set_functions};
use crate::api::print::pieces;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::core::buf::OwnBuf;
use crate::nginx::http::client;
use crate::ngx_debug;
use crate::runtime::context::response_state::Stage;
use crate::runtime::{PhaseSet, output};

const REQUEST: u32 = PhaseSet::REQUEST.0;

const FUNCTIONS: &[Row] = &[
    ObjectRow::in_phases::<REQUEST, _>(c"say", say),
    ObjectRow::in_phases::<REQUEST, _>(c"print", print),
    Row::in_phases::<REQUEST, _>(c"send_headers", send_headers),
    Row::late::<REQUEST, _>(c"flush", flush),
    ObjectRow::late::<REQUEST, _>(c"eof", eof),
];

/// Puts the functions into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, FUNCTIONS);
}

const FILTER_ERROR: &str = "nginx output filter error";

fn say(call: &Call) -> LuaResult {
    echo(call, Some(b'\n'))
}

fn print(call: &Call) -> LuaResult {
    echo(call, None)
}

/// Why nothing can be sent any more; `None` if something can.
fn closed(call: &Call) -> Option<&'static str> {
    if call.context.output.stage.get() == Stage::Raw {
        Some("raw request socket acquired")
    } else if call.request.header_only() {
        Some("header only")
    } else if call.context.output.stage.get() == Stage::Ended {
        Some("seen eof")
    } else {
        None
    }
}

/// Sends the arguments and then `end`, if given.
fn echo(call: &Call, end: Option<u8>) -> LuaResult {
    if let Some(reason) = closed(call) {
        return call.fail(reason);
    }
    if call.arguments() == 1
        && let Some(text) = call.state.string(1)
    {
        return send(call, text.len(), end, |buf| {
            buf.write(text);
        });
    }
    let rooms = (1..=call.arguments()).map(|index| pieces::scalar_capacity(call.state, index));
    if let Some(room) = rooms.sum::<Option<usize>>() {
        return send(call, room, end, |buf| {
            for index in 1..=call.arguments() {
                // The buffer has the room.
                let _ = pieces::append_scalar(call.state, index, buf);
            }
        });
    }
    let mut text = Vec::new();
    for index in 1..=call.arguments() {
        pieces::append_argument(call.state, index, &mut text)?;
    }
    send(call, text.len(), end, |buf| {
        buf.write(&text);
    })
}

/// Sends the bytes that `write` puts into the buffer that it gets, at most `room` of them, and then
/// `end`.
#[inline(always)]
fn send(call: &Call, room: usize, end: Option<u8>, write: impl FnOnce(&mut OwnBuf)) -> LuaResult {
    let context = call.context;
    let room = room + usize::from(end.is_some());
    if room == 0 {
        let rc = output::send_header_if_needed(context);
        if rc.0 == -1 || rc.0 > 0 {
            return call.fail(FILTER_ERROR);
        }
        return call.succeed();
    }
    context.output.seen_body_data.set(true);
    let name = || if end.is_some() { "lua say response" } else { "lua print response" };
    ngx_debug!(call.request.log(), "{}", name());
    let fill = |buf: &mut OwnBuf| {
        write(buf);
        end.into_iter().for_each(|byte| buf.push(byte));
    };
    if output::write(context, room, fill)?.is_failure() {
        return call.fail(FILTER_ERROR);
    }
    let no = || if context.response.is_busy() { "" } else { "no " };
    ngx_debug!(call.request.log(), "{} has {}busy bufs", name(), no());
    call.succeed()
}

fn send_headers(call: &Call) -> LuaResult {
    if !call.context.is_header_sent() {
        ngx_debug!(call.request.log(), "lua send headers");
    }
    let rc = output::send_header_if_needed(call.context);
    if rc.0 == -1 || rc.0 > 0 {
        return call.fail(FILTER_ERROR);
    }
    call.succeed()
}

fn flush(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n > 1 {
        return Err(LuaError::text(format_args!(
            "attempt to pass {n} arguments, but accepted 0 or 1"
        )));
    }
    let mut wait = false;
    if n == 1 && !call.request.is_subrequest() {
        call.state.check_kind(1, Kind::Boolean, c"boolean")?;
        wait = call.state.boolean(1);
    }
    call.check()?;
    if call.context.output.stage.get() == Stage::Raw {
        return call.fail("raw request socket acquired");
    }
    let task = call.running_task()?;
    if let Some(reason) = closed(call) {
        return call.fail(reason);
    }
    let context = call.context;
    if context.output.buffering.get() {
        ngx_debug!(call.request.log(), "lua http 1.0 buffering makes ngx.flush() a no-op");
        return call.fail("buffering");
    }
    if !context.is_header_sent() || (!context.output.seen_body_data.get() && !wait) {
        return call.fail("nothing to flush");
    }
    if output::flush(context)?.is_failure() {
        return call.fail(FILTER_ERROR);
    }
    if !wait || !output::is_pending(context) {
        ngx_debug!(call.request.log(), "lua flush asynchronously");
        return call.succeed();
    }
    ngx_debug!(
        call.request.log(),
        "lua flush requires waiting: buffered 0x{:x}, delayed:{}",
        client::buffered_bits(call.request),
        u8::from(client::is_output_delayed(call.request))
    );
    call.state.check_yieldable()?;
    if !output::wait_for_flush(context, &task) {
        return call.fail("connection broken");
    }
    Ok(Returns::Yield(0))
}

fn eof(call: &Call) -> LuaResult {
    if call.arguments() != 0 {
        return Err(LuaError::text("no argument is expected"));
    }
    let context = call.context;
    if context.output.stage.get() == Stage::Raw {
        return call.fail("raw request socket acquired");
    }
    if context.output.stage.get() == Stage::Ended {
        return call.fail("seen eof");
    }
    call.check()?;
    ngx_debug!(call.request.log(), "lua send eof");
    if output::send_last(context).is_failure() {
        return call.fail(FILTER_ERROR);
    }
    output::finish_sending(context);
    call.succeed()
}

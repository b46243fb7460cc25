//! The Lua functions for the URI, the arguments in it and those in the body.

use std::ops::ControlFlow;

use codec::args::{self, Decoded, Decoder, MAX_ARGS};
use codec::fallible::{Grow, OutOfMemory};
use codec::uri::{self, EscapeType};
use memchr::memrchr;
use smallvec::SmallVec;

use crate::api::arguments;
use crate::api::call::{Call, ObjectRow, Row, set_functions, set_functions_in};
use crate::api::value_lists;
use crate::lua::{Kind, LuaError, LuaResult, Returns, State};
use crate::nginx::Level;
use crate::nginx::core::log::cycle_log;
use crate::nginx::event::stream::describe_error;
use crate::nginx::http::request_body;
use crate::nginx::http::request_body::Body;
use crate::nginx::http::request_body::pieces::{self, Unreadable};
use crate::nginx::http::request_line;
use crate::nginx::http::request_line::Next;
use crate::ngx_log;
use crate::runtime::{Phase, PhaseSet};

const REQUEST_FUNCTIONS: &[Row] = &[
    Row::late_in_request(c"set_uri", set_uri),
    ObjectRow::late_in_request(c"set_uri_args", set_uri_args),
    ObjectRow::late_in_request(c"get_post_args", get_post_args),
];

const FUNCTIONS: &[Row] =
    &[Row::anywhere(c"encode_args", encode_args), Row::anywhere(c"decode_args", decode_args)];

/// The phases in which `ngx.req.set_uri` may make nginx look for another location.
const JUMP_PHASES: PhaseSet = PhaseSet::of(&[Phase::ServerRewrite, Phase::Rewrite]);

/// Puts the functions that need no request into the `ngx` table on top.
pub fn inject_codec(state: State) {
    set_functions(state, FUNCTIONS);
}

/// Puts the functions into the `ngx` table on top.
pub fn inject(state: State) {
    inject_codec(state);
    set_functions_in(state, c"req", REQUEST_FUNCTIONS);
}

fn set_uri(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if !(1..=3).contains(&n) {
        return Err(LuaError::text(format_args!("expecting 1, 2 or 3 arguments but seen {n}")));
    }
    call.check_client()?;
    let uri = state.check_bytes(1)?;
    if uri.is_empty() {
        return Err(LuaError::text("attempt to use zero-length uri"));
    }
    let binary = n >= 3 && boolean(state, 3)?;
    if !binary && let Err(found) = uri::check_unsafe_bytes(uri) {
        return Err(LuaError::text(format_args!("{found}")));
    }
    let jump = n >= 2 && boolean(state, 2)?;
    if !jump {
        request_line::set_uri(call.request, uri, Next::Stay)?;
        return Ok(Returns::Values(0));
    }
    call.check_phase(JUMP_PHASES)?;
    if call.context.ending.no_abort.get() {
        return Err(LuaError::text("attempt to abort with pending subrequests"));
    }
    let pieces = [b"lua set uri jump to \"".as_slice(), uri, b"\""];
    call.request.log().write_pieces(Level::Debug, &pieces);
    request_line::set_uri(call.request, uri, Next::Jump)?;
    Ok(Returns::Yield(0))
}

fn boolean(state: State, index: i32) -> Result<bool, LuaError> {
    state.check_kind(index, Kind::Boolean, c"boolean")?;
    Ok(state.boolean(index))
}

fn set_uri_args(call: &Call) -> LuaResult {
    let state = call.state;
    if call.arguments() != 1 {
        let n = call.arguments();
        return Err(LuaError::text(format_args!("expecting 1 argument but seen {n}")));
    }
    call.check_client()?;
    match state.kind(1) {
        Kind::Number | Kind::String => {
            let args = uri::escape(state.check_bytes(1)?, EscapeType::RawArgs)?;
            request_line::set_args(call.request, &args)?;
        }
        Kind::Table => request_line::set_args(call.request, &arguments::encode(state, 1)?)?,
        kind => {
            return Err(LuaError::argument(
                1,
                format_args!("string, number, or table expected, but got {}", kind.name()),
            ));
        }
    }
    Ok(Returns::Values(0))
}

fn get_post_args(call: &Call) -> LuaResult {
    let (state, n) = (call.state, call.arguments());
    if n > 1 {
        return Err(LuaError::text(format_args!("expecting 0 or 1 arguments but seen {n}")));
    }
    let max = if n == 1 { cap(state, 1)? } else { MAX_ARGS as i32 };
    call.check_client()?;
    if call.request.is_discarding_body() {
        state.new_table(0, 0);
        return Ok(Returns::Values(1));
    }
    match request_body::body(&call.request) {
        Body::Unread => Err(LuaError::text(
            "no request body found; maybe you should turn on lua_need_request_body?",
        )),
        Body::File(_) => decode_file(call, max),
        Body::Memory(bufs) => {
            decode_to_table(state, &mut request_body::copy(bufs, usize::MAX)?, max)
        }
    }
}

fn encode_args(state: State) -> LuaResult {
    let n = state.top();
    if n != 1 {
        return Err(LuaError::text(format_args!("expecting 1 argument but seen {n}")));
    }
    state.check_kind(1, Kind::Table, c"table")?;
    let text = arguments::encode(state, 1)?;
    state.push_bytes(&text);
    Ok(Returns::Values(1))
}

fn decode_args(state: State) -> LuaResult {
    let n = state.top();
    if n != 1 && n != 2 {
        return Err(LuaError::text(format_args!("expecting 1 or 2 arguments but seen {n}")));
    }
    let text = state.check_bytes(1)?;
    let max = if n == 2 { cap(state, 2)? } else { MAX_ARGS as i32 };
    let mut copy = SmallVec::<[u8; 512]>::new();
    copy.try_append(text)?;
    decode_to_table(state, &mut copy, max)
}

/// The argument `max_args` at `index`: 0 or less means no limit.
fn cap(state: State, index: i32) -> Result<i32, LuaError> {
    let max = state.check_integer(index)?;
    Ok(i32::try_from(max.max(0)).unwrap_or(i32::MAX))
}

/// Pushes the first `max` arguments in `text` (0: all) as a table, and "truncated" if there are
/// more. `text` is unescaped in its place.
fn decode_to_table(state: State, text: &mut [u8], max: i32) -> LuaResult {
    let mut table = ArgsTable::push(state, if text.is_empty() { 0 } else { 4 })?;
    let decoded = args::decode(text, max, |name, value| table.add(name, value));
    Ok(finish(state, decoded, max))
}

/// As [`decode_to_table`], for a body in a file, which is read piece by piece and no further than
/// the limit of arguments. If it cannot be read, `nil` and an error.
fn decode_file(call: &Call, max: i32) -> LuaResult {
    let state = call.state;
    let mut table = ArgsTable::push(state, 4)?;
    let (mut decoder, mut decoded) = (Decoder::new(max), Decoded::All);
    // What has been read of an argument whose end comes with a later piece.
    let mut rest = Vec::new();
    let read = pieces::for_each_piece(call.request, |piece| {
        let end = memrchr(b'&', piece).map(|at| rest.len() + at);
        rest.try_append(piece)?;
        let Some(end) = end else { return Ok(ControlFlow::Continue(())) };
        let whole = rest.get_mut(..end).unwrap_or_default();
        decoded = decoder.decode(whole, true, |name, value| table.add(name, value));
        rest.drain(..=end);
        Ok(match decoded {
            Decoded::All => ControlFlow::Continue(()),
            Decoded::Truncated => ControlFlow::Break(()),
        })
    });
    match read {
        Ok(()) => {}
        Err(Unreadable::NoMemory) => return Err(OutOfMemory.into()),
        Err(Unreadable::File(error)) => {
            let why = if error == 0 { "unexpected end".into() } else { describe_error(error) };
            return call.fail_with(format_args!("failed to read the request body's file: {why}"));
        }
    }
    if decoded == Decoded::All {
        decoded = decoder.decode(&mut rest, false, |name, value| table.add(name, value));
    }
    Ok(finish(state, decoded, max))
}

/// The results of decoding: the table of arguments, which is on top, and "truncated" if need be.
fn finish(state: State, decoded: Decoded, max: i32) -> Returns {
    match decoded {
        Decoded::All => Returns::Values(1),
        Decoded::Truncated => {
            ngx_log!(cycle_log(), Level::Debug, "lua hit query args limit {max}");
            state.push_str("truncated");
            Returns::Values(2)
        }
    }
}

/// A table of arguments on the stack.
struct ArgsTable {
    state: State,
    index: i32,
    seen: Seen,
}

impl ArgsTable {
    /// Pushes one with room for `size` names.
    fn push(state: State, size: i32) -> Result<ArgsTable, LuaError> {
        state.reserve(6)?;
        state.new_table(0, size);
        Ok(ArgsTable { state, index: state.top(), seen: Seen(0) })
    }

    #[inline(always)]
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let mut state = self.state;
        if self.seen.is_new(name) {
            state.push_bytes(name);
            push_value(state, value);
            state.raw_set(self.index);
        } else {
            add(state, self.index, name, value);
        }
    }
}

/// A bit for each name that has come so far; different names may have the same bit.
struct Seen(u64);

impl Seen {
    /// Whether the name has certainly not come before.
    fn is_new(&mut self, name: &[u8]) -> bool {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return false };
        let bit = 1 << ((usize::from(first ^ (last << 1)) + name.len()) % 64);
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }
}

/// Adds an argument to the table at the index `table`, where its name may be already.
fn add(state: State, table: i32, name: &[u8], value: Option<&[u8]>) {
    value_lists::add(state, table, name, |state| push_value(state, value));
}

fn push_value(state: State, value: Option<&[u8]>) {
    match value {
        Some(value) => state.push_bytes(value),
        None => state.push_bool(true),
    }
}

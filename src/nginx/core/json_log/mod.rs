//! `lua_error_log_format json`: the error log's lines as JSON.
//!
//! What this module logs is written here, of any length. What nginx itself logs to a file comes
//! through `hook.rs`, when nginx has made a line of it. Invariant: the hook allocates nothing and
//! never waits, because nginx also logs in signal handlers and threads.

mod hook;
mod outputs;

pub use hook::{attach_to_cycle, attach_to_location};

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use codec::fallible::{Grow, OutOfMemory};
use codec::log_event::{self, Field, Sink, Value};
use codec::log_text;

use crate::nginx::core::log::{Level, Log};
use crate::nginx::core::time;
use crate::nginx::http::log_origin::Origin;
use crate::nginx::http::request::Request;
use crate::per_thread;

static ON: AtomicBool = AtomicBool::new(false);

/// Has this process log as JSON from now on, or as text.
pub fn turn(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Whether this process logs as JSON.
#[inline(always)]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// What is known of a request besides what nginx's own lines say.
#[derive(Default)]
pub struct Description {
    /// The phase whose code runs, or ran last.
    pub phase: &'static str,
    /// The index of the variable `$request_id`.
    pub request_id: Option<usize>,
}

/// A function that makes the description of a request.
pub type Describer = fn(Request) -> Description;

static DESCRIBER: OnceLock<Describer> = OnceLock::new();

/// Sets the function that describes requests, before the first line is logged. A second call
/// changes nothing.
pub fn set_describer(describer: Describer) {
    let _ = DESCRIBER.set(describer);
}

per_thread! {
    /// Whether a line is being made, which might log something itself.
    static BUSY: Cell<bool> = Cell::new(false);
}

/// What is logged.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub level: Level,
    /// 0 for none.
    pub errno: i32,
    pub text: &'a [u8],
    /// How many bytes of the text come before the script's own: `[lua] ` and the place of the call.
    pub head: usize,
}

/// Writes a line to all outputs of `log` whose level wants it. False if there is no memory, or if
/// the line comes from within the making of another one.
pub fn write(log: Log, message: Message) -> bool {
    /// Notes that the line has been made, even if making it panics.
    struct Busy;
    impl Drop for Busy {
        fn drop(&mut self) {
            BUSY.set(false);
        }
    }
    if BUSY.replace(true) {
        return false;
    }
    let _busy = Busy;
    write_line(log, message).is_ok()
}

fn write_line(log: Log, message: Message) -> Result<(), OutOfMemory> {
    let (before, text) = message.text.split_at(message.head.min(message.text.len()));
    let (text, traceback) = log_text::split_traceback(text);
    let place = match before.strip_prefix(b"[lua] ") {
        Some(head) => log_text::place_of_caller(head),
        None => log_text::place_of_error(text),
    };
    let mut with_error = Vec::new();
    let text = if message.errno == 0 {
        text
    } else {
        let error = std::io::Error::from_raw_os_error(message.errno);
        let words = crate::nginx::core::strings::strerror(&error);
        with_error.try_append(text)?;
        let more = codec::fallible::format(format_args!(" ({}: {words})", message.errno))?;
        with_error.try_append(more.as_bytes())?;
        &with_error
    };
    // nginx does not say of debug lines either where they come from.
    let origin = if message.level == Level::Debug { Origin::default() } else { Origin::of(&log) };
    let line =
        Line { level: message.level, connection: log.connection(), origin, place, text, traceback };
    outputs::write(log, message, &line)
}

/// A line that is to be written.
struct Line<'a> {
    level: Level,
    connection: u64,
    origin: Origin<'a>,
    place: &'a [u8],
    text: &'a [u8],
    traceback: &'a [u8],
}

impl Line<'_> {
    /// Writes it as JSON, of at most `room` bytes if that is given.
    fn write(&self, room: Option<usize>, sink: &mut impl Sink) -> Result<(), OutOfMemory> {
        let origin = &self.origin;
        let described =
            origin.request.zip(DESCRIBER.get()).map(|(request, describe)| describe(request));
        let described = described.unwrap_or_default();
        let request_id = described.request_id.and_then(|index| origin.variable(index));
        let time = time::iso8601();
        let fields = [
            text("time", time.bytes(), 64),
            text("level", self.level.name().as_bytes(), 16),
            number("pid", std::process::id().into()),
            number("connection", self.connection),
            text("request_id", request_id.unwrap_or_default(), 64),
            text("phase", described.phase.as_bytes(), 64),
            text("chunk", self.place, 128),
            text("client", origin.client, 64),
            text("server", origin.server, 64),
            text("request", origin.line, 256),
            text("subrequest", origin.subrequest, 128),
            text("upstream", origin.upstream.bytes(), 128),
            text("host", origin.host, 64),
            text("referrer", origin.referrer, 128),
            text("action", origin.action, 64),
            text("context", origin.other.bytes(), 128),
            Field { name: "message", value: Value::Message(self.text) },
            text("traceback", self.traceback, usize::MAX),
        ];
        log_event::write(&fields, room, sink)
    }
}

fn text<'a>(name: &'static str, value: &'a [u8], most: usize) -> Field<'a> {
    Field { name, value: Value::Text(value, most) }
}

fn number(name: &'static str, value: u64) -> Field<'static> {
    Field { name, value: Value::Number(value) }
}

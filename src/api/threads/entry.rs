//! One light thread or coroutine in the list of `lua_threads`.

use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use codec::fallible::Shown;
use codec::json::Quoted;

use crate::lua::frames::describe_frames;
use crate::nginx::Request;
use crate::nginx::core::log::Line;
use crate::nginx::core::time;
use crate::runtime::{Role, Task, TaskStatus};

/// What is known of a task.
pub struct Entry {
    kind: &'static str,
    status: &'static str,
    waits_for: Option<&'static str>,
    /// In milliseconds, as the ages are.
    waited: usize,
    age: usize,
    phase: &'static str,
    request: Request,
    request_age: u64,
    traceback: Line,
}

impl Entry {
    /// The entry of `task`; `None` if the task, or its request, has ended.
    pub fn of(task: &Rc<Task>) -> Option<Entry> {
        let context = task.context().filter(|context| !context.is_released())?;
        let request = context.request();
        let now = time::monotonic_milliseconds();
        let mut traceback = Line::new();
        if task.is_kept() {
            describe_frames(task.state(), &mut traceback);
        }
        let age = now.saturating_sub(task.born());
        // A fake request is not made by nginx, which therefore has not noted when it began.
        let request_age = match context.entry().filter(|_| context.is_fake()) {
            Some(entry) => now.saturating_sub(entry.born()) as f64,
            None => (time::now() - time::request_start(request)).max(0.0) * 1000.0,
        };
        Some(Entry {
            kind: match task.role() {
                Role::Entry => "entry thread",
                Role::LightThread => "light thread",
                Role::Coroutine | Role::Wrapped => "coroutine",
            },
            status: status(task),
            waits_for: task.awaited(),
            waited: now.saturating_sub(task.waits_since()),
            age,
            phase: context.phase.get().context_name(),
            request,
            request_age: request_age as u64,
            traceback,
        })
    }

    /// The lines of the traceback, without the indentation that `describe_frames` gives them for
    /// the log.
    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.traceback.bytes().split(|byte| *byte == b'\n');
        lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    }
}

/// Displays an entry for people: as a paragraph.
pub struct Paragraph<'a>(pub &'a Entry);

impl Display for Paragraph<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Entry { kind, status, waits_for, phase, request, .. } = self.0;
        let (waited, age) = (Seconds(self.0.waited as u64), Seconds(self.0.age as u64));
        match waits_for {
            Some(what) => write!(f, "{kind}, {age} old, waits for {what} since {waited}")?,
            None => write!(f, "{kind}, {age} old, {status}")?,
        }
        let (uri, number) = (Shown(request.uri()), request.connection_number());
        let request_age = Seconds(self.0.request_age);
        write!(f, "\n  {phase}, request \"{uri}\" of connection *{number}, {request_age} old\n")?;
        self.0.frames().try_for_each(|frame| writeln!(f, "    {}", Shown(frame)))
    }
}

/// Displays an entry for programs: as an object.
pub struct Object<'a>(pub &'a Entry);

impl Display for Object<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Entry { kind, status, waited, age, request_age, phase, request, .. } = self.0;
        write!(f, "{{\"kind\":\"{kind}\",\"status\":\"{status}\",\"age_ms\":{age},")?;
        if let Some(what) = self.0.waits_for {
            write!(f, "\"waits_for\":\"{what}\",\"waited_ms\":{waited},")?;
        }
        let (uri, number) = (Quoted(request.uri()), request.connection_number());
        write!(f, "\"phase\":\"{phase}\",\"uri\":{uri},\"connection\":{number},")?;
        write!(f, "\"request_age_ms\":{request_age},\"traceback\":[")?;
        for (at, frame) in self.0.frames().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", Quoted(frame))?;
        }
        f.write_str("]}")
    }
}

/// The status of a task, in words.
fn status(task: &Task) -> &'static str {
    match task.status.get() {
        TaskStatus::Running if task.waits_for_nothing() => "ready to run",
        TaskStatus::Running => "waiting",
        TaskStatus::Suspended => "suspended by coroutine.yield",
        TaskStatus::Normal => "resumed another coroutine",
        TaskStatus::Dead | TaskStatus::Zombie => "ended, its results not taken",
    }
}

/// Milliseconds, shown as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

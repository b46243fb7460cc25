//! `lua_profile` with the argument `memory`: how much the objects of the VM take, by what holds
//! them.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};

use codec::fallible::{self, OutOfMemory, Shown};
use codec::folded::{self, Folded, Lines};

use super::svg;
use crate::api::formats::{Answer, Format};
use crate::api::slices::{self, Next, Work};
use crate::config::MainConf;
use crate::lua::heap::{Found, HeapWalk};
use crate::nginx::Level;
use crate::nginx::core::log::{Line, log_cycle};
use crate::nginx::core::worker;
use crate::own_thread;
use crate::runtime::profile::Refusal;

/// The most objects that are looked at.
const MOST: usize = 1_000_000;
/// How many entries of tables are looked at between two looks at the clock.
const BETWEEN: usize = 200;
/// The most holders in a text for people.
const SHOWN: usize = 100;

own_thread! {
    /// Whether there is a walk.
    static BUSY: Cell<bool> = Cell::new(false);
}

/// A walk over the heap, in slices.
pub struct Memory {
    format: Format,
    walk: HeapWalk,
    /// How many bytes the VM had in use before the walk took memory itself.
    in_use: u64,
}

impl Memory {
    /// Begins a walk, unless there is one.
    pub fn start(format: Format) -> Result<Memory, Refusal> {
        if BUSY.get() {
            return Err(Refusal::InUse);
        }
        let vm = MainConf::with_current(MainConf::vm).flatten().ok_or(Refusal::NoMemory)?;
        let in_use = vm.main().bytes_in_use() as u64;
        let walk = HeapWalk::begin(vm, MOST).map_err(|reason| {
            log(&reason);
            Refusal::NoMemory
        })?;
        BUSY.set(true);
        Ok(Memory { format, walk, in_use })
    }

    fn answer(&self, found: &Found) -> Result<Answer, OutOfMemory> {
        let mut folded = Folded::default();
        folded.add_lines(&found.holders);
        let seen = folded.sorted()?.iter().map(|(_, bytes)| bytes).sum();
        folded
            .add(if found.is_part { TOO_MANY } else { NOT_SEEN }, self.in_use.saturating_sub(seen));
        let body = match self.format {
            Format::Svg => {
                let title = format_args!("Memory of Lua objects, worker {}", worker::pid());
                svg::draw(&folded, fallible::format(title)?, "bytes")?
            }
            Format::Folded => {
                fallible::format(format_args!("{}", Lines(&folded.sorted()?)))?.into_bytes()
            }
            _ => {
                let mut holders = folded.sorted()?;
                folded::largest_first(&mut holders);
                let shown = Text { in_use: self.in_use, types: &found.types, holders: &holders };
                fallible::format(format_args!("{shown}"))?.into_bytes()
            }
        };
        Ok(Answer::new(self.format, body))
    }
}

/// What stands for the bytes that the walk cannot see; if it has ended early, for those too that it
/// has not looked at.
const NOT_SEEN: &[u8] = b"[not seen]";
const TOO_MANY: &[u8] = b"[too many objects]";

impl Work for Memory {
    fn go_on(&self) -> Result<Next, OutOfMemory> {
        let step = || self.walk.step(BETWEEN);
        let found = match slices::until_time_is_up(step) {
            Ok(false) => return Ok(Next::Round),
            Ok(true) => self.walk.report(),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => self.answer(&found).map(Next::Answer),
            Err(reason) => {
                log(&reason);
                Err(OutOfMemory)
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

fn log(reason: &[u8]) {
    let line = Line::of(format_args!("lua_profile: cannot look at the memory: {}", Shown(reason)));
    log_cycle(Level::Err, line.bytes());
}

/// Displays what the walk has found, for people.
struct Text<'a> {
    in_use: u64,
    types: &'a [u8],
    holders: &'a [(&'a [u8], u64)],
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "worker {}: {} bytes in use", worker::pid(), self.in_use)?;
        writeln!(f, "\n{:<10}{:>12}{:>14}", "type", "objects", "bytes")?;
        for line in self.types.split(|byte| *byte == b'\n') {
            let mut words = str::from_utf8(line).unwrap_or_default().split(' ');
            let [kind, objects, bytes] = std::array::from_fn(|_| words.next().unwrap_or_default());
            writeln!(f, "{kind:<10}{objects:>12}{bytes:>14}")?;
        }
        writeln!(f, "\n{:>14}  held by", "bytes")?;
        for (holder, bytes) in self.holders.iter().take(SHOWN) {
            writeln!(f, "{bytes:>14}  {}", Shown(holder))?;
        }
        Ok(())
    }
}

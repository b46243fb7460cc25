//! `lua_threads`: the threads and coroutines of a worker, what each waits for, and where its code
//! stands.
//!
//! A worker may have many thousands: the list is made in slices, between which the event loop goes
//! on.

mod entry;

use std::cell::{Cell, RefCell};

use codec::fallible::{self, Grow, OutOfMemory};

use crate::api::formats::{Answer, Format};
use crate::api::slices::{self, Next, Work};
use crate::nginx::core::worker;
use crate::runtime::Task;
use entry::{Entry, Object, Paragraph};

/// How many threads are listed between two looks at the clock.
const BETWEEN: usize = 16;

/// A list that is being made.
pub struct Listing {
    format: Format,
    /// Those of the tasks that there were at the start; a task that ends meanwhile is left out.
    keys: Vec<u64>,
    /// How many of the keys have been looked at.
    at: Cell<usize>,
    /// How many threads have been listed.
    count: Cell<usize>,
    text: RefCell<Vec<u8>>,
}

impl Work for Listing {
    fn go_on(&self) -> Result<Next, OutOfMemory> {
        Ok(match slices::until_time_is_up(|| self.add_some())? {
            true => Next::Answer(Answer::new(self.format, self.whole()?)),
            false => Next::Round,
        })
    }
}

impl Listing {
    /// Begins a list of the tasks that there are now.
    pub fn new(format: Format) -> Result<Listing, OutOfMemory> {
        let (at, count, text) = (Cell::new(0), Cell::new(0), RefCell::default());
        Ok(Listing { format, keys: Task::keys()?, at, count, text })
    }

    /// Adds some threads; true if there are no more.
    fn add_some(&self) -> Result<bool, OutOfMemory> {
        let from = self.at.get();
        let rest = self.keys.get(from..).unwrap_or_default();
        let keys = rest.get(..BETWEEN).unwrap_or(rest);
        for key in keys {
            self.add(*key)?;
        }
        self.at.set(from + keys.len());
        Ok(keys.len() == rest.len())
    }

    fn add(&self, key: u64) -> Result<(), OutOfMemory> {
        let Some(task) = Task::with_key(key) else { return Ok(()) };
        let Some(entry) = Entry::of(&task) else { return Ok(()) };
        let before = if self.count.replace(self.count.get() + 1) == 0 { "" } else { "," };
        let text = match self.format {
            Format::Json => fallible::format(format_args!("{before}\n{}", Object(&entry)))?,
            _ => fallible::format(format_args!("\n{}", Paragraph(&entry)))?,
        };
        self.text.borrow_mut().try_append(text.as_bytes())
    }

    /// The text with its head and its end.
    fn whole(&self) -> Result<Vec<u8>, OutOfMemory> {
        let (pid, count) = (worker::pid(), self.count.get());
        let (head, end) = match self.format {
            Format::Json => {
                (fallible::format(format_args!("{{\"worker\":{pid},\"threads\":["))?, "\n]}\n")
            }
            _ => (
                fallible::format(format_args!("worker {pid}: {count} threads and coroutines\n"))?,
                "",
            ),
        };
        let text = self.text.take();
        fallible::concat(&[head.as_bytes(), &text, end.as_bytes()])
    }
}

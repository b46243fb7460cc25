//! `lua_threads`: the threads and coroutines of a worker, what each waits for, and where its code stands.
//!
//! A worker may have many thousands: the list is made in slices, between which the event loop goes on.

mod entry;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use codec::fallible::{self, Grow, OutOfMemory};

use crate::nginx::core::{time, worker};
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::runtime::Task;
use entry::{Entry, Object, Paragraph};

/// How long a slice takes, in nanoseconds.
const SLICE: u64 = 1_000_000;
/// After how many threads the clock is asked.
const BETWEEN: usize = 16;

/// What a response is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}

/// A list in the making.
pub struct Listing {
    format: Format,
    keys: Vec<u64>,
    /// How many of the keys have been looked at, and how many threads there were.
    at: Cell<usize>,
    count: Cell<usize>,
    text: RefCell<Vec<u8>>,
    timer: Box<Timer<Slice>>,
    /// Gets the whole text.
    done: Cell<Option<Done>>,
}

/// What is done with the text, or without memory for it.
pub type Done = Box<dyn FnOnce(Result<&[u8], OutOfMemory>)>;

#[derive(Clone)]
struct Slice(Weak<Listing>);

impl Waiter for Slice {
    fn abandon(&self) {
        if let Some(done) = self.0.upgrade().and_then(|listing| listing.done.take()) {
            done(Err(OutOfMemory));
        }
    }
}

impl Listing {
    /// Begins a list of the tasks of now.
    pub fn new(format: Format) -> Result<Rc<Listing>, OutOfMemory> {
        let keys = Task::keys()?;
        Ok(Rc::new_cyclic(|listing: &Weak<Listing>| Listing {
            format,
            keys,
            at: Cell::new(0),
            count: Cell::new(0),
            text: RefCell::default(),
            timer: Timer::new(Slice(listing.clone()), |Slice(listing)| {
                if let Some(listing) = listing.upgrade() {
                    listing.go_on();
                }
            }),
            done: Cell::new(None),
        }))
    }

    /// Makes the list, and gives it to `done`, which is called at once where one slice is enough. Dropping
    /// the list before that ends the work.
    pub fn make(&self, done: Done) {
        self.done.set(Some(done));
        self.go_on();
    }

    fn go_on(&self) {
        let result = match self.add_slice() {
            Ok(false) => return self.timer.post_next(),
            Ok(true) => self.whole(),
            Err(error) => Err(error),
        };
        if let Some(done) = self.done.take() {
            done(result.as_deref().map_err(|error| *error));
        }
    }

    /// Adds threads until time is up; true where there are no more.
    fn add_slice(&self) -> Result<bool, OutOfMemory> {
        let end = time::nanoseconds().saturating_add(SLICE);
        loop {
            let from = self.at.get();
            let Some(keys) = self.keys.get(from..).filter(|keys| !keys.is_empty()) else {
                return Ok(true);
            };
            let keys = keys.get(..BETWEEN).unwrap_or(keys);
            for key in keys {
                self.add(*key)?;
            }
            self.at.set(from + keys.len());
            if time::nanoseconds() >= end {
                return Ok(false);
            }
        }
    }

    fn add(&self, key: u64) -> Result<(), OutOfMemory> {
        let Some(task) = Task::with_key(key) else { return Ok(()) };
        let Some(entry) = Entry::of(&task) else { return Ok(()) };
        let before = if self.count.replace(self.count.get() + 1) == 0 { "" } else { "," };
        let text = match self.format {
            Format::Text => fallible::format(format_args!("\n{}", Paragraph(&entry)))?,
            Format::Json => fallible::format(format_args!("{before}\n{}", Object(&entry)))?,
        };
        self.text.borrow_mut().try_append(text.as_bytes())
    }

    /// The text with its head and its end.
    fn whole(&self) -> Result<Vec<u8>, OutOfMemory> {
        let (pid, count) = (worker::pid(), self.count.get());
        let (head, end) = match self.format {
            Format::Text => (
                fallible::format(format_args!("worker {pid}: {count} threads and coroutines\n"))?,
                "",
            ),
            Format::Json => {
                (fallible::format(format_args!("{{\"worker\":{pid},\"threads\":["))?, "\n]}\n")
            }
        };
        let text = self.text.take();
        fallible::concat(&[head.as_bytes(), &text, end.as_bytes()])
    }
}

//! What a cosocket has received and not yet handed out, and how much of it a call wants.
//!
//! Bytes are copied once, from here into the Lua string. Only what `receiveuntil` has searched in
//! vain is copied twice, if it must wait for more. Bytes that may be the beginning of its pattern
//! are held back here; if its call ends then, they are unread like any others.

use std::fmt;
use std::ops::Range;

use codec::fallible::Grow;
use codec::receive_until::Status;
use memchr::{memchr, memchr2};

use super::matcher::Matcher;
use crate::lua::State;
use crate::nginx::core::free_list::FreeList;
use crate::own_thread;

/// What a call of one of the receiving methods is to read.
#[derive(Clone)]
pub enum Want {
    /// Up to a line feed; carriage returns are left out.
    Line,
    /// Until the other side closes.
    All,
    /// That many bytes.
    Bytes(usize),
    /// Whatever comes first, at most that many bytes.
    Any(usize),
    /// Up to the pattern of a `receiveuntil` iterator.
    Until(Matcher),
}

/// How far a read has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadStep {
    /// All that the call wants is there.
    Complete,
    /// More must be received first.
    More,
    /// The other side has closed the connection before all of it came.
    Closed,
    OutOfMemory,
}

/// What a cosocket has received, and the state of the call that reads.
pub struct Input {
    bytes: Vec<u8>,
    /// Where the unread bytes begin.
    start: usize,
    want: Want,
    /// How many unread bytes have been searched for a line feed in vain.
    seen: usize,
    /// How many of the unread bytes the call gets.
    length: usize,
    /// How many unread bytes the call removes: with a line, its line feed too.
    taken: usize,
    /// What `receiveuntil` returns so far, if it is no longer in `bytes`.
    passed: Vec<u8>,
    /// How many unread bytes `receiveuntil` holds back.
    held: usize,
    /// How many bytes the last read from the kernel asked for, if it got them all; else 0.
    filled: usize,
}

/// The most that is read from the kernel at once.
const MAX_READ: usize = 256 * 1024;
/// The most for a call that takes whatever comes first.
const MAX_ANY: usize = MAX_SPARE_SIZE;
/// Once everything has been read, memory beyond this is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

own_thread! {
    /// Buffers of closed sockets, for new ones: a socket may last for a single request only.
    static SPARE: FreeList<Vec<u8>> = FreeList::new(MAX_SPARE);
}
/// How many buffers are kept there at most, and the capacity beyond which one is freed instead.
const MAX_SPARE: usize = 16;
const MAX_SPARE_SIZE: usize = 16 * 1024;

/// Puts `buffer` on the free list, or frees it.
fn spare(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MAX_SPARE_SIZE {
        return;
    }
    buffer.clear();
    drop(SPARE.keep(buffer));
}

impl Input {
    pub fn new() -> Input {
        Input {
            bytes: Vec::new(),
            start: 0,
            want: Want::Line,
            seen: 0,
            length: 0,
            taken: 0,
            passed: Vec::new(),
            held: 0,
            filled: 0,
        }
    }

    /// Begins a call that reads `want`.
    pub fn begin(&mut self, want: Want) {
        self.want = want;
        self.seen = 0;
        self.length = 0;
        self.taken = 0;
        self.held = 0;
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The number of unread bytes.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// What the call wants, and with a size how much of it is there, for nginx's debug log.
    pub fn describe(&self) -> impl fmt::Display {
        self.description(&self.want)
    }

    /// As [`Input::describe`], of a call that wants `want`.
    pub fn description(&self, want: &Want) -> impl fmt::Display {
        struct Described<'a>(&'a Want, usize);
        impl fmt::Display for Described<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Want::Line => f.write_str("line"),
                    Want::All => f.write_str("all"),
                    Want::Bytes(_) => write!(f, "chunk {}", self.1),
                    Want::Any(_) => f.write_str("any"),
                    Want::Until(_) => f.write_str("until"),
                }
            }
        }
        Described(want, self.len())
    }

    /// Looks whether the call has all that it wants; `ended` says that no more will come.
    #[inline(always)]
    pub fn advance(&mut self, ended: bool) -> ReadStep {
        let unread = self.unread();
        let len = unread.len();
        let complete = match &self.want {
            Want::Line => {
                let end = memchr(b'\n', unread.get(self.seen..).unwrap_or_default());
                end.map(|end| (self.seen + end, self.seen + end + 1))
            }
            Want::All => ended.then_some((len, len)),
            Want::Bytes(wanted) => (len >= *wanted).then_some((*wanted, *wanted)),
            Want::Any(max) => (len > 0).then(|| (len.min(*max), len.min(*max))),
            Want::Until(_) => return self.advance_until(ended),
        };
        self.seen = len;
        match complete {
            Some((length, taken)) => {
                (self.length, self.taken) = (length, taken);
                ReadStep::Complete
            }
            None => {
                (self.length, self.taken) = (len, len);
                if ended { ReadStep::Closed } else { ReadStep::More }
            }
        }
    }

    #[inline(never)]
    fn advance_until(&mut self, ended: bool) -> ReadStep {
        let Want::Until(matcher) = &self.want else { return ReadStep::Closed };
        let mut matcher = matcher.borrow_mut();
        let unread = self.bytes.get(self.start + self.held..).unwrap_or_default();
        let fed = matcher.scan(unread);
        let complete = fed.status != Status::NeedMore;
        let looked_at = std::mem::replace(&mut self.held, matcher.held().len()) + fed.consumed;
        let taken = looked_at.saturating_sub(self.held);
        if complete && fed.held == 0 && self.passed.is_empty() {
            // All that the call returns is still in `bytes`.
            (self.length, self.taken) = (fed.passed, taken);
            return ReadStep::Complete;
        }
        if matcher.append(fed, unread, &mut self.passed).is_err() {
            return ReadStep::OutOfMemory;
        }
        self.start += taken;
        match complete {
            true => ReadStep::Complete,
            false if ended => ReadStep::Closed,
            false => ReadStep::More,
        }
    }

    /// Copies into `room` what a call that wants `want`, a line or a size, returns. Gives the length of that,
    /// and how many unread bytes the call removes; `None` if not all of it is there, or `room` is too small.
    #[inline(always)]
    pub fn copy(&self, want: &Want, room: &mut [u8]) -> Option<(usize, usize)> {
        match want {
            Want::Line => self.copy_line(room),
            Want::Bytes(size) => {
                room.get_mut(..*size)?.copy_from_slice(self.unread().get(..*size)?);
                Some((*size, *size))
            }
            Want::All | Want::Any(_) | Want::Until(_) => None,
        }
    }

    #[inline(always)]
    fn copy_line(&self, room: &mut [u8]) -> Option<(usize, usize)> {
        let unread = self.unread();
        let (mut kept, mut taken) = (0, 0);
        loop {
            let rest = unread.get(taken..)?;
            let most = room.len() - kept + 1;
            let end = memchr2(b'\r', b'\n', rest.get(..most).unwrap_or(rest))?;
            let (piece, rest) = rest.split_at_checked(end)?;
            room.get_mut(kept..kept + end)?.copy_from_slice(piece);
            kept += end;
            taken += end + 1;
            match rest {
                [b'\r', b'\n', ..] => return Some((kept, taken + 1)),
                [b'\n', ..] => return Some((kept, taken)),
                _ => {}
            }
        }
    }

    /// Removes that many unread bytes.
    #[inline(always)]
    pub fn remove(&mut self, count: usize) {
        self.taken = count;
        self.take();
    }

    /// The buffer to which received bytes are to be appended, and how many to ask for: `size`, or
    /// more if the call wants more, but at most `limit`.
    pub fn reserve(&mut self, size: usize, limit: usize) -> (&mut Vec<u8>, usize) {
        self.compact();
        let len = self.bytes.len();
        let wanted = match &self.want {
            Want::Bytes(total) => size.max(total.saturating_sub(len).min(MAX_READ)),
            Want::All => size.max(len.min(MAX_READ)),
            // As long as there is more than was asked for, twice as much is asked for.
            Want::Any(max) => size.max((self.filled * 2).min(*max).min(MAX_ANY)),
            Want::Line | Want::Until(_) => size,
        };
        (&mut self.bytes, wanted.min(limit))
    }

    /// A read from the kernel has got `count` of the `wanted` bytes.
    pub fn note_read(&mut self, count: usize, wanted: usize) {
        self.filled = if count == wanted { wanted } else { 0 };
    }

    /// Appends bytes that nginx has read; false without memory.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        self.compact();
        self.bytes.try_append(bytes).is_ok()
    }

    /// Drops what has been read, before more is appended.
    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take().unwrap_or_default();
        }
    }

    fn result(&self) -> Range<usize> {
        self.start..self.start + self.length
    }

    /// Pushes what the call returns, complete or not, and removes it from the unread bytes.
    #[inline]
    pub fn push_result(&mut self, state: State) {
        match &self.want {
            Want::Until(_) if !self.passed.is_empty() => state.push_bytes(&self.passed),
            Want::Line => {
                self.drop_carriage_returns();
                state.push_bytes(self.bytes.get(self.result()).unwrap_or_default());
            }
            Want::All | Want::Bytes(_) | Want::Any(_) | Want::Until(_) => {
                state.push_bytes(self.bytes.get(self.result()).unwrap_or_default());
            }
        }
        self.take();
    }

    /// Removes the carriage returns from the call's line, in place.
    fn drop_carriage_returns(&mut self) {
        let result = self.result();
        let line = self.bytes.get_mut(result).unwrap_or_default();
        let Some(first) = memchr(b'\r', line) else { return };
        let mut kept = first;
        for at in first..line.len() {
            if line.get(at).is_some_and(|byte| *byte != b'\r') {
                line.swap(kept, at);
                kept += 1;
            }
        }
        self.length = kept;
    }

    /// Removes the call's bytes.
    fn take(&mut self) {
        self.start += self.taken;
        (self.length, self.taken) = (0, 0);
        self.passed.clear();
        if self.is_empty() {
            self.empty();
        }
    }

    /// Everything has been read: keeps the memory for more, up to a limit.
    #[inline(never)]
    fn empty(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.bytes.shrink_to(KEPT_CAPACITY);
        self.passed.shrink_to(KEPT_CAPACITY);
    }

    /// Drops everything, and puts the buffer on the free list.
    pub fn clear(&mut self) {
        let old = std::mem::replace(self, Input::new());
        spare(old.bytes);
    }

    /// Whether the call takes all of the unread bytes.
    pub fn is_used_up(&self) -> bool {
        self.len() == self.taken
    }

    /// Whether there are no unread bytes.
    pub fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }
}

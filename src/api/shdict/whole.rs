//! What looks at all entries: freeing those that have expired, and their keys. Other workers get the dictionary in
//! between: see `shared_memory/walk.rs`.

use codec::fallible::{Grow, OutOfMemory};

use super::now;
use crate::nginx::core::shared_memory::{Dict, Entry, SLICE, Walk};

/// Frees up to `max` expired entries (0 for all). Returns how many.
///
/// Errors: there is no memory. Some may have been freed.
pub fn flush_expired(dict: Dict, max: usize) -> Result<usize, OutOfMemory> {
    let mut freed = 0;
    let mut walk = Walk::new(dict, now());
    while walk.slice(|entry, now| {
        if !entry.is_alive(now) {
            entry.remove();
            freed += 1;
        }
        max == 0 || freed < max
    })? {}
    Ok(freed)
}

/// Copies of keys, one behind the other.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Keys {
    /// Makes room for `more` keys of a usual length, before the lock is taken.
    fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        const USUAL: usize = 32;
        self.ends.try_reserve(more)?;
        Ok(self.bytes.try_reserve(more.saturating_mul(USUAL))?)
    }

    fn push(&mut self, entry: &Entry) -> Result<(), OutOfMemory> {
        self.bytes.try_append(entry.key())?;
        self.ends.try_push(self.bytes.len())
    }

    /// Takes the keys out.
    fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        let mut start = 0;
        for end in self.ends.drain(..) {
            each(self.bytes.get(start..end).unwrap_or_default());
            start = end;
        }
        self.bytes.clear();
    }
}

/// Calls `each` for the keys of all living entries, in no particular order, without the lock.
///
/// Errors: there is no memory.
pub fn all_keys(dict: Dict, mut each: impl FnMut(&[u8])) -> Result<(), OutOfMemory> {
    let mut keys = Keys::default();
    let mut walk = Walk::new(dict, now());
    loop {
        keys.reserve(SLICE)?;
        let mut kept = Ok(());
        let goes_on = walk.slice(|entry, now| {
            if entry.is_alive(now) {
                kept = keys.push(&entry);
            }
            kept.is_ok()
        })?;
        kept?;
        keys.drain(&mut each);
        if !goes_on {
            return Ok(());
        }
    }
}

/// The same for those up to `max` living entries that have not been used for longest, these first.
pub fn oldest_keys(dict: Dict, max: usize, each: impl FnMut(&[u8])) -> Result<(), OutOfMemory> {
    let mut keys = Keys::default();
    keys.reserve(max.min(SLICE))?;
    let Some(mut dict) = dict.lock() else { return Ok(()) };
    let now = dict.at(now());
    let mut kept = Ok(());
    dict.for_each(|entry| {
        if entry.is_alive(now) {
            kept = keys.push(&entry);
        }
        kept.is_ok() && keys.ends.len() < max
    });
    drop(dict);
    kept?;
    keys.drain(each);
    Ok(())
}

//! Numbers that Lua libraries keep with a connection, by key; they go with it into the pool.
//!
//! If there are as many as may be kept, a new one replaces the least recently used one.

use std::collections::VecDeque;

use codec::fallible::OutOfMemory;

/// The numbers of one connection.
pub struct UserData {
    /// The most that are kept; 0 for any number.
    capacity: usize,
    /// The latest first.
    entries: VecDeque<(u64, u64)>,
}

impl UserData {
    pub fn new(capacity: usize) -> UserData {
        UserData { capacity, entries: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sets the number under `key`; returns the key and the number that were dropped for it.
    pub fn set(&mut self, key: u64, value: u64) -> Result<Option<(u64, u64)>, OutOfMemory> {
        self.entries.try_reserve(1)?;
        let known = self.remove(key);
        let full = self.capacity > 0 && self.entries.len() >= self.capacity;
        let evicted = if full && !known { self.entries.pop_back() } else { None };
        #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
        self.entries.push_front((key, value));
        Ok(evicted)
    }

    /// The number under `key`, which is now the most recently used one.
    pub fn get(&mut self, key: u64) -> Option<u64> {
        let at = self.entries.iter().position(|entry| entry.0 == key)?;
        let entry = self.entries.remove(at)?;
        #[expect(clippy::disallowed_methods, reason = "its own place is free")]
        self.entries.push_front(entry);
        Some(entry.1)
    }

    /// Removes the number under `key`; returns whether there was one.
    pub fn remove(&mut self, key: u64) -> bool {
        let at = self.entries.iter().position(|entry| entry.0 == key);
        at.and_then(|at| self.entries.remove(at)).is_some()
    }
}

//! Single values: storing, reading, counting, expiry, and eviction where memory is short.

use std::ffi::CStr;

use codec::fallible::OutOfMemory;

use super::{expiry, now};
use crate::nginx::core::shared_memory::{Dict, DictKey, DictValue, Entry, Former, Locked, Moment};

/// Lua's numbers for the types of values (`LUA_TNIL` and so on).
pub const NIL: u8 = 0;
pub const BOOLEAN: u8 = 1;
pub const NUMBER: u8 = 3;
pub const STRING: u8 = 4;

/// The bits of an operation that stores: only if there is no entry; only if there is one; evict
/// nothing.
pub const ADD: i32 = 0x0001;
pub const REPLACE: i32 = 0x0002;
pub const SAFE_STORE: i32 = 0x0004;

/// How many of the oldest entries are evicted for a new one, at most.
const MAX_EVICTIONS: usize = 30;

/// Why an operation did nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    NotFound,
    Exists,
    NotANumber,
    NoMemory,
}

impl StoreError {
    pub fn text(self) -> &'static CStr {
        match self {
            StoreError::NotFound => c"not found",
            StoreError::Exists => c"exists",
            StoreError::NotANumber => c"not a number",
            StoreError::NoMemory => c"no memory",
        }
    }
}

/// An operation's result, and whether other entries have been evicted for it. (One of those may
/// have expired.)
pub struct StoreOutcome<T> {
    pub result: Result<T, StoreError>,
    pub forcible: bool,
}

impl<T> StoreOutcome<T> {
    fn of(result: Result<T, StoreError>) -> StoreOutcome<T> {
        StoreOutcome { result, forcible: false }
    }
}

/// A value with what is kept beside it.
pub struct Stored<'a> {
    pub value: DictValue<'a>,
    /// Milliseconds to live; 0 for ever.
    pub ttl: i64,
    pub flags: u32,
}

/// Stores a value under `key`; `None` removes what is there. `op` has the bits [`ADD`], [`REPLACE`]
/// and [`SAFE_STORE`].
pub fn store(dict: Dict, key: &[u8], stored: Option<&Stored>, op: i32) -> StoreOutcome<()> {
    let key = DictKey::new(key);
    let Some(mut dict) = dict.lock() else { return StoreOutcome::of(Err(StoreError::NoMemory)) };
    let now = dict.at(now());
    drop_expired(&mut dict, now);
    if let Some(entry) = dict.find(key) {
        match entry.is_alive(now) {
            true if op & ADD != 0 => return StoreOutcome::of(Err(StoreError::Exists)),
            false if op & REPLACE != 0 => return StoreOutcome::of(Err(StoreError::NotFound)),
            _ => {}
        }
        let Some(stored) = stored else {
            entry.remove();
            return StoreOutcome::of(Ok(()));
        };
        let former = match replace(entry, key, stored) {
            Ok(None) => return StoreOutcome::of(Ok(())),
            Ok(Some(former)) => former,
            Err(OutOfMemory) => return StoreOutcome::of(Err(StoreError::NoMemory)),
        };
        let outcome = insert(&mut dict, key, stored, op & SAFE_STORE == 0);
        if outcome.result.is_err() {
            former.put_back(&mut dict, key);
        }
        return outcome;
    } else if op & REPLACE != 0 {
        return StoreOutcome::of(Err(StoreError::NotFound));
    }
    match stored {
        Some(stored) => insert(&mut dict, key, stored, op & SAFE_STORE == 0),
        None => StoreOutcome::of(Ok(())),
    }
}

/// Puts a value in the place of another one: if it takes as much memory, where that is; else while
/// that still has its memory. `Some`: there was not enough memory for both, and this was the old one.
fn replace(mut entry: Entry, key: DictKey, stored: &Stored) -> Result<Option<Former>, OutOfMemory> {
    let expires = expiry(stored.ttl);
    if !entry.overwrite(stored.value) {
        return entry
            .replace(|dict| dict.insert(key, stored.value, expires, stored.flags).map(|_| ()));
    }
    entry.set_expires(expires);
    entry.set_flags(stored.flags);
    entry.promote();
    Ok(None)
}

/// Adds an entry; if there is no memory and it `may_evict`, at the cost of the oldest ones.
fn insert(dict: &mut Locked, key: DictKey, stored: &Stored, may_evict: bool) -> StoreOutcome<()> {
    let expires = expiry(stored.ttl);
    let mut forcible = false;
    let mut may_evict = if may_evict { MAX_EVICTIONS } else { 0 };
    loop {
        if dict.insert(key, stored.value, expires, stored.flags).is_ok() {
            return StoreOutcome { result: Ok(()), forcible };
        }
        if may_evict == 0 || !evict(dict) {
            break;
        }
        may_evict -= 1;
        forcible = true;
    }
    StoreOutcome { result: Err(StoreError::NoMemory), forcible }
}

/// Frees up to two of the oldest entries, if they have expired.
#[inline(always)]
pub fn drop_expired(dict: &mut Locked, now: Moment) {
    for _ in 0..2 {
        match dict.oldest() {
            Some(entry) if !entry.is_alive(now) => remove_expired(entry),
            _ => return,
        }
    }
}

/// Out of line: few operations find an expired entry.
#[cold]
fn remove_expired(entry: Entry) {
    entry.remove();
}

/// Evicts the oldest entry, and frees up to two more that have expired; false if there is none.
fn evict(dict: &mut Locked) -> bool {
    let now = dict.at(now());
    let Some(entry) = dict.oldest() else { return false };
    let was_alive = entry.is_alive(now);
    entry.remove();
    if was_alive {
        dict.count_eviction();
    }
    drop_expired(dict, now);
    true
}

/// What is found under a key.
pub struct Found<'a> {
    pub value: DictValue<'a>,
    pub flags: u32,
    pub is_list: bool,
    pub is_stale: bool,
}

/// Gives what is under `key` to `read`, with the zone's lock held; `None` if there is nothing, or
/// if it has expired and `stale` is false.
pub fn get<T>(dict: Dict, key: &[u8], stale: bool, read: impl FnOnce(&Found) -> T) -> Option<T> {
    let key = DictKey::new(key);
    let mut dict = dict.lock()?;
    let now = dict.at(now());
    if !stale {
        drop_expired(&mut dict, now);
    }
    let mut entry = dict.find(key)?;
    let is_stale = !entry.is_alive(now);
    if is_stale && !stale {
        return None;
    }
    if !is_stale {
        entry.promote();
    }
    Some(read(&Found {
        value: DictValue { kind: entry.kind(), bytes: entry.value() },
        flags: entry.flags(),
        is_list: entry.is_list(),
        is_stale,
    }))
}

/// What a counter starts from: a number, and its milliseconds to live.
#[derive(Clone, Copy)]
pub struct Initial {
    pub value: f64,
    pub ttl: i64,
}

/// Adds `by` to the number under `key`; if there is none, or it has expired, to `initial`. Returns
/// the sum.
pub fn increment(dict: Dict, key: &[u8], by: f64, initial: Option<Initial>) -> StoreOutcome<f64> {
    let key = DictKey::new(key);
    let Some(mut dict) = dict.lock() else { return StoreOutcome::of(Err(StoreError::NoMemory)) };
    let now = dict.at(now());
    drop_expired(&mut dict, now);
    let found = dict.find(key);
    if let Some(entry) = found {
        if entry.is_alive(now) {
            return StoreOutcome::of(add_to(entry, by));
        }
        if initial.is_some() {
            // The entry that is made below takes its place, whatever its size was.
            entry.remove();
        }
    }
    let Some(initial) = initial else { return StoreOutcome::of(Err(StoreError::NotFound)) };
    let sum = initial.value + by;
    let bytes = sum.to_ne_bytes();
    let value = DictValue { kind: NUMBER, bytes: &bytes };
    let stored = Stored { value, ttl: initial.ttl, flags: 0 };
    let StoreOutcome { result, forcible } = insert(&mut dict, key, &stored, true);
    StoreOutcome { result: result.map(|()| sum), forcible }
}

fn add_to(mut entry: Entry, by: f64) -> Result<f64, StoreError> {
    let number = number(&entry).ok_or(StoreError::NotANumber)?;
    let sum = number + by;
    entry.overwrite(DictValue { kind: NUMBER, bytes: &sum.to_ne_bytes() });
    entry.promote();
    Ok(sum)
}

fn number(entry: &Entry) -> Option<f64> {
    if entry.kind() != NUMBER {
        return None;
    }
    entry.value().try_into().ok().map(f64::from_ne_bytes)
}

/// When the entry under `key` expires, in milliseconds since the epoch, `NEVER` for never; `None` if
/// there is none. The entry may have expired.
pub fn expires(dict: Dict, key: &[u8]) -> Option<u64> {
    let key = DictKey::new(key);
    dict.lock()?.find(key).map(|entry| entry.expires())
}

/// Has the entry under `key` expire `ttl` milliseconds from now, 0 for never; false if there is
/// none. An entry that has expired but is still there lives again, as in the C module.
pub fn set_ttl(dict: Dict, key: &[u8], ttl: i64) -> bool {
    let key = DictKey::new(key);
    let Some(mut dict) = dict.lock() else { return false };
    match dict.find(key) {
        Some(mut entry) => {
            entry.set_expires(expiry(ttl));
            true
        }
        None => false,
    }
}

/// Makes all entries expire. Their memory comes back when it is needed, or by `flush_expired`.
pub fn flush_all(dict: Dict) {
    let Some(mut dict) = dict.lock() else { return };
    dict.expire_all();
    evict(&mut dict);
}

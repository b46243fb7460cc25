//! Lists: values that are added and taken at either end.

pub mod ffi;

use super::now;
use super::store::drop_expired;
use crate::nginx::core::shared_memory::{Dict, DictKey, DictValue};

/// Why a list was not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListError {
    NotAList,
    /// There is no memory for one more item.
    NoMemory,
    /// There is no memory for a new list.
    NoMemoryForList,
}

impl ListError {
    pub fn text(self) -> &'static str {
        match self {
            ListError::NotAList => "value not a list",
            ListError::NoMemory | ListError::NoMemoryForList => "no memory",
        }
    }
}

/// Adds a value at the left or right of the list under `key`, which is made if there is none.
/// Nothing is evicted for it. Returns the list's new length.
pub fn push(dict: Dict, key: &[u8], value: DictValue, left: bool) -> Result<u32, ListError> {
    let key = DictKey::new(key);
    let mut dict = dict.lock().ok_or(ListError::NoMemoryForList)?;
    let now = dict.at(now());
    drop_expired(&mut dict, now);
    let existing = dict.find(key);
    if let Some(mut list) = existing {
        if list.is_alive(now) {
            if !list.is_list() {
                return Err(ListError::NotAList);
            }
            list.promote();
            return list.push(left, value).map_err(|_| ListError::NoMemory);
        }
        list.remove();
    }
    let mut list = dict.insert_list(key).map_err(|_| ListError::NoMemoryForList)?;
    match list.push(left, value) {
        Ok(len) => Ok(len),
        Err(_) => {
            // No list is without items.
            list.remove();
            Err(ListError::NoMemory)
        }
    }
}

/// Takes a value off the left or right of the list under `key`, and returns what `take` makes of
/// it; if that is `None`, the value stays in the list. `take` is called with the zone's lock held.
pub fn pop<T>(
    dict: Dict,
    key: &[u8],
    left: bool,
    take: impl FnOnce(DictValue) -> Option<T>,
) -> Result<Option<T>, ListError> {
    let key = DictKey::new(key);
    let Some(mut dict) = dict.lock() else { return Ok(None) };
    let now = dict.at(now());
    drop_expired(&mut dict, now);
    let Some(mut list) = dict.find(key) else { return Ok(None) };
    if !list.is_alive(now) {
        return Ok(None);
    }
    if !list.is_list() {
        return Err(ListError::NotAList);
    }
    let taken = list.pop(left, take);
    if list.size() == 0 {
        list.remove();
    } else {
        list.promote();
    }
    Ok(taken)
}

/// The length of the list under `key`: 0 if there is none.
pub fn len(dict: Dict, key: &[u8]) -> Result<u32, ListError> {
    let key = DictKey::new(key);
    let Some(mut dict) = dict.lock() else { return Ok(0) };
    let now = dict.at(now());
    drop_expired(&mut dict, now);
    let Some(mut list) = dict.find(key) else { return Ok(0) };
    if !list.is_alive(now) {
        return Ok(0);
    }
    if !list.is_list() {
        return Err(ListError::NotAList);
    }
    list.promote();
    Ok(list.size())
}

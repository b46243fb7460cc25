//! An entry that is replaced by another one with the same key, and is restored if there is no
//! memory for the other one.

use codec::fallible::{self, Grow};

use super::entry::{DictValue, Entry};
use super::expiry::{Moment, NEVER};
use super::locked::{DictKey, Locked};
use crate::nginx::core::pool::OutOfMemory;

/// A copy of an entry outside of the dictionary, whose memory is free.
pub struct Former {
    value: Copied,
    expires: Moment,
    flags: u32,
    /// A list's values.
    items: Option<Vec<Copied>>,
}

/// A value's kind and bytes.
struct Copied(u8, Vec<u8>);

impl Copied {
    fn of(DictValue { kind, bytes }: DictValue) -> Result<Copied, OutOfMemory> {
        Ok(Copied(kind, fallible::copy(bytes)?))
    }

    fn as_value(&self) -> DictValue<'_> {
        DictValue { kind: self.0, bytes: &self.1 }
    }
}

impl Former {
    pub(super) fn of(entry: &Entry) -> Result<Former, OutOfMemory> {
        let value = Copied::of(DictValue { kind: entry.kind(), bytes: entry.value() })?;
        let mut items = entry.is_list().then(Vec::new);
        if let Some(items) = &mut items {
            items.try_reserve_exact(entry.size() as usize)?;
            entry.for_each_item(|item| items.try_push(Copied::of(item)?))?;
        }
        Ok(Former { value, expires: entry.expires_at(), flags: entry.flags(), items })
    }

    /// Puts the entry back. There is enough memory, provided that what [`Entry::replace`] freed is
    /// free again.
    pub fn put_back(&self, dict: &mut Locked, key: DictKey) {
        let Some(items) = &self.items else {
            let inserted = dict.insert(key, self.value.as_value(), NEVER, self.flags);
            return inserted.map_or((), |mut entry| entry.set_expires_at(self.expires));
        };
        let Ok(mut list) = dict.insert_list(key) else { return };
        list.set_expires_at(self.expires);
        list.set_flags(self.flags);
        for item in items {
            if list.push(false, item.as_value()).is_err() {
                return;
            }
        }
    }
}

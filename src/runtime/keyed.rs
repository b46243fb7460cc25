//! Values that other code knows by a number: lua-resty-core's processes and semaphores, a coroutine's
//! task, a timer.
//!
//! Such code has a key, never an address: a key whose value has been removed finds nothing, even if
//! its place has been reused since.

use std::cell::{OnceCell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use codec::fallible::{self, OutOfMemory};
use slotmap::{DefaultKey, Key, KeyData, SlotMap};

/// Values by their keys.
pub struct Keyed<T>(RefCell<Option<SlotMap<DefaultKey, T>>>);

impl<T> Keyed<T> {
    /// Nothing yet.
    pub const fn new() -> Keyed<T> {
        Keyed(RefCell::new(None))
    }

    /// Reserves capacity for one more value; to be called before every insertion.
    #[inline(always)]
    pub fn reserve(&self) -> Result<(), OutOfMemory> {
        match &*self.0.borrow() {
            Some(values) if values.len() < values.capacity() => return Ok(()),
            _ => {}
        }
        self.grow()
    }

    #[cold]
    fn grow(&self) -> Result<(), OutOfMemory> {
        self.0.borrow_mut().get_or_insert_default().try_reserve(1)?;
        Ok(())
    }

    /// Stores `value`, for which [`Keyed::reserve`] has reserved capacity; returns its key, which
    /// is never below 2^32.
    #[inline]
    pub fn insert(&self, value: T) -> u64 {
        number(self.0.borrow_mut().get_or_insert_default().insert(value))
    }

    /// As [`Keyed::insert`], for a value that contains its key. `make` must not use this
    /// collection.
    pub fn insert_with(&self, make: impl FnOnce(u64) -> T) -> u64 {
        let mut values = self.0.borrow_mut();
        number(values.get_or_insert_default().insert_with_key(|key| make(number(key))))
    }

    /// Returns what `look` makes of the value, if there is one. `look` must not use this
    /// collection.
    #[inline(always)]
    pub fn with<R>(&self, key: u64, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.borrow().as_ref()?.get(known(key)).map(look)
    }

    /// Takes the value out.
    #[inline]
    pub fn remove(&self, key: u64) -> Option<T> {
        self.0.borrow_mut().as_mut()?.remove(known(key))
    }

    /// Takes all of them out.
    pub fn take(&self) -> impl Iterator<Item = T> + use<T> {
        self.0.take().into_iter().flatten().map(|(_, value)| value)
    }

    /// The keys of all.
    pub fn keys(&self) -> Result<Vec<u64>, OutOfMemory> {
        fallible::collect(self.0.borrow().iter().flat_map(SlotMap::keys).map(number))
    }

    /// Calls `look` for each. It must not use this collection.
    pub fn for_each(&self, look: impl FnMut(&T)) {
        self.0.borrow().iter().flat_map(SlotMap::values).for_each(look);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.borrow().as_ref().map_or(0, SlotMap::len)
    }
}

impl<T: Clone> Keyed<T> {
    /// A copy of the value: an `Rc`, as a rule.
    pub fn get(&self, key: u64) -> Option<T> {
        self.with(key, T::clone)
    }
}

/// The values of one thread, where several have some: a static of `per_thread!`. The key of one is never that of
/// another thread's, and finds nothing there.
pub struct ThreadKeyed<T> {
    values: Keyed<T>,
    /// What distinguishes the keys of this thread, from its first value on.
    mark: OnceCell<u64>,
}

/// How many bits of a key are the place of the value. The mark is above them, in the rest of the key's lower half.
const PLACE_BITS: u32 = 22;
/// The most values of a thread. (Their places are counted from 1.)
const MOST_VALUES: usize = (1 << PLACE_BITS) - 1;
/// The most threads.
const MOST_THREADS: u64 = 1 << (32 - PLACE_BITS);

/// How many threads have values of this kind.
static THREADS: AtomicU64 = AtomicU64::new(0);

impl<T> ThreadKeyed<T> {
    /// Nothing yet.
    pub const fn new() -> ThreadKeyed<T> {
        ThreadKeyed { values: Keyed::new(), mark: OnceCell::new() }
    }

    /// Reserves capacity for one more value; to be called before every insertion. Fails also beyond the most values,
    /// and in too many threads.
    pub fn reserve(&self) -> Result<(), OutOfMemory> {
        if self.values.len() >= MOST_VALUES || self.mark() >> 32 != 0 {
            return Err(OutOfMemory);
        }
        self.values.reserve()
    }

    /// As [`Keyed::insert`].
    pub fn insert(&self, value: T) -> u64 {
        self.values.insert(value) ^ self.mark()
    }

    /// As [`Keyed::with`].
    #[inline(always)]
    pub fn with<R>(&self, key: u64, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.values.with(key ^ *self.mark.get()?, look)
    }

    /// As [`Keyed::remove`].
    pub fn remove(&self, key: u64) -> Option<T> {
        self.values.remove(key ^ *self.mark.get()?)
    }

    fn mark(&self) -> u64 {
        *self.mark.get_or_init(|| {
            let thread = THREADS.fetch_add(1, Ordering::Relaxed).min(MOST_THREADS);
            thread << PLACE_BITS
        })
    }
}

#[inline(always)]
fn number(key: DefaultKey) -> u64 {
    key.data().as_ffi()
}

#[inline(always)]
fn known(key: u64) -> DefaultKey {
    DefaultKey::from(KeyData::from_ffi(key))
}

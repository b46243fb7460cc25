//! What `lua_status` shows of single pools of connections: a limited number of rows among a
//! worker's numbers, each with a name. The worker writes all of them at once; whoever reads while
//! it does so reads again.

use std::sync::atomic::{Ordering::Acquire, Ordering::Release, fence};

use codec::fallible::{self, Grow, OutOfMemory};

use crate::nginx::core::shared_memory::slots::Counter;

/// The most rows of a worker.
pub const ROWS: usize = 16;
/// The most bytes of a name that are shown.
const NAME: usize = 64;
const WORDS: usize = NAME / size_of::<u64>();
/// The numbers of a pool: see [`PoolNumber`].
pub const NUMBERS: usize = 5;
/// How many numbers the rows take: a version, and the rows.
pub const ALL: usize = 1 + ROWS * (WORDS + NUMBERS);

/// A number of a pool.
#[derive(Clone, Copy)]
pub enum PoolNumber {
    Size,
    Used,
    Idle,
    Queued,
    Reuses,
}

/// A pool, or all those for which there is no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolRow {
    name: [u8; NAME],
    numbers: [u64; NUMBERS],
}

impl PoolRow {
    /// A row for the pool `name`; of a longer name, the beginning is kept.
    pub fn new(name: &[u8], numbers: [u64; NUMBERS]) -> PoolRow {
        let mut kept = [0; NAME];
        kept.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        PoolRow { name: kept, numbers }
    }

    pub fn name(&self) -> &[u8] {
        let len = self.name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.name.get(..len).unwrap_or_default()
    }

    pub fn get(&self, number: PoolNumber) -> u64 {
        self.numbers.get(number as usize).copied().unwrap_or(0)
    }

    /// The connections, and the connects that wait for one.
    pub fn load(&self) -> u64 {
        [PoolNumber::Used, PoolNumber::Idle, PoolNumber::Queued].map(|of| self.get(of)).iter().sum()
    }

    /// The same numbers under another name.
    pub fn renamed(&self, name: &[u8]) -> PoolRow {
        PoolRow::new(name, self.numbers)
    }

    /// Adds the numbers of another one.
    pub fn add(&mut self, other: &PoolRow) {
        self.numbers.iter_mut().zip(other.numbers).for_each(|(sum, number)| *sum += number);
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let name = self.name.chunks_exact(size_of::<u64>());
        name.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).chain(self.numbers)
    }

    fn of_words(mut words: impl Iterator<Item = u64>) -> PoolRow {
        let mut row = PoolRow { name: [0; NAME], numbers: [0; NUMBERS] };
        for (place, word) in row.name.chunks_exact_mut(size_of::<u64>()).zip(&mut words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        row.numbers.iter_mut().zip(words).for_each(|(place, word)| *place = word);
        row
    }
}

/// Writes the first [`ROWS`] of `rows` to the worker's numbers `at`.
pub fn write(at: &[Counter], rows: &[PoolRow]) {
    let Some((version, places)) = at.split_first() else { return };
    // Odd while the rows are being written.
    version.set(version.get() | 1);
    fence(Release);
    let words = rows.iter().flat_map(PoolRow::words).chain(std::iter::repeat(0));
    places.iter().zip(words).for_each(|(place, word)| place.set(word));
    fence(Release);
    version.add(1);
}

/// How often a reader tries to get rows that are not being written.
const ATTEMPTS: usize = 100;

/// The rows in the worker's numbers `at`; none where they are being written all the time.
pub fn read(at: &[Counter]) -> Result<Vec<PoolRow>, OutOfMemory> {
    let Some((version, places)) = at.split_first() else { return Ok(Vec::new()) };
    let mut rows = fallible::with_capacity(ROWS)?;
    for _ in 0..ATTEMPTS {
        let before = version.get();
        fence(Acquire);
        rows.clear();
        for row in places.chunks_exact(WORDS + NUMBERS) {
            let row = PoolRow::of_words(row.iter().map(Counter::get));
            if row.name().is_empty() {
                break;
            }
            rows.try_push(row)?;
        }
        fence(Acquire);
        if version.get() == before && before % 2 == 0 {
            return Ok(rows);
        }
        std::hint::spin_loop();
    }
    Ok(Vec::new())
}

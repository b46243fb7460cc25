//! When entries expire.
//!
//! A dictionary has a generation, and an entry that of the time at which it was given its time to live: entries of
//! former generations have expired. So all entries expire at once, without one of them being touched.

/// How many bits there are for milliseconds since the epoch: these last for 142,000 years.
const BITS: u32 = 52;

/// The number of milliseconds that stands for never.
pub const NEVER: u64 = (1 << BITS) - 1;

/// When an entry of a former generation has expired, in milliseconds since the epoch.
const LONG_AGO: u64 = 1;

/// A time in a generation: an entry with a greater one than now lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Past in every generation.
    pub const PAST: Moment = Moment(LONG_AGO);
}

/// A generation, in the bits above those of the milliseconds.
#[derive(Clone, Copy)]
pub struct Generation(u64);

impl Generation {
    pub const FIRST: Generation = Generation(0);

    /// The generation after this one; `None` after the last one.
    pub fn next(self) -> Option<Generation> {
        self.0.checked_add(1 << BITS).map(Generation)
    }

    /// A time in milliseconds since the epoch, at most [`NEVER`].
    #[inline(always)]
    pub fn at(self, milliseconds: u64) -> Moment {
        Moment(self.0 | milliseconds)
    }

    /// The milliseconds since the epoch of a time, which may be of a former generation.
    pub fn milliseconds(self, Moment(moment): Moment) -> u64 {
        if moment < self.0 { LONG_AGO } else { moment & NEVER }
    }
}

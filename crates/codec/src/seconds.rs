//! Seconds with a fraction, as Lua's clock functions give them.

/// The first number with a unit of 1. As many milliseconds are 142,000 years.
const UNITS: f64 = (1_u64 << 52) as f64;

/// A time since the epoch in seconds: the number nearest to it. For the times of this century that is
/// `sec + msec / 1000` too.
///
/// x86's instruction for the conversion keeps the other half of its register. So it waits for what was
/// there, in a loop the last call's result: four times the time of what is done here, which is to put the
/// number into the fraction of 2^52, whose unit is 1. No clock shows a time before the epoch.
#[inline(always)]
pub fn in_seconds(sec: i64, msec: u64) -> f64 {
    let milliseconds = (sec as u64).wrapping_mul(1000).wrapping_add(msec);
    (f64::from_bits(UNITS.to_bits() | milliseconds) - UNITS) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_seconds_is_the_sum_of_its_parts() {
        for sec in [1_000_000_007, 1_796_025_600, 2_147_483_648, 4_294_967_296] {
            for msec in 0..1000 {
                let sum = sec as f64 + msec as f64 / 1000.0;
                assert_eq!(in_seconds(sec, msec), sum, "{sec}.{msec:03}");
            }
        }
    }

    #[test]
    fn it_is_the_nearest_number() {
        let times = [(0, 0), (0, 1), (1, 118), (59, 999), (253_402_300_799, 999)];
        let seconds = times.map(|(sec, msec)| in_seconds(sec, msec));
        assert_eq!(seconds, [0.0, 0.001, 1.118, 59.999, 253_402_300_799.999]);
    }
}

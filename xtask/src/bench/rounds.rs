//! Times that are taken in rounds, both modules in each, because what else the machine does changes meanwhile.

use anyhow::Result;

use super::results::Outcome;

/// What each of so many rounds gives; one before the first warms up.
pub fn after_warm_up<T>(rounds: usize, mut round: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    round()?;
    (0..rounds).map(|_| round()).collect()
}

/// The medians of this module's numbers, of the C module's, and of the rounds' own ratios.
pub fn medians(part: &'static str, row: &str, measure: &str, rounds: &[(f64, f64)]) -> Outcome {
    let of = |number: fn(&(f64, f64)) -> f64| Some(median(rounds.iter().map(number).collect()));
    let (ours, theirs) = (of(|(ours, _)| *ours), of(|(_, theirs)| *theirs));
    let outcome = Outcome::new(part, row, measure, ours, theirs);
    Outcome { ratio: of(|(ours, theirs)| ours / theirs), ..outcome }
}

/// The middle one of an odd number of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_does_not_count() {
        let mut number = 0;
        let rounds = after_warm_up(3, || {
            number += 1;
            Ok(number)
        });
        assert_eq!(rounds.unwrap(), [2, 3, 4]);
    }

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(median(vec![3.0, 9.0, 1.0]), 3.0);
    }

    #[test]
    fn ratios_are_compared_round_by_round() {
        let outcome = medians("cpu", "a", "ns", &[(2.0, 4.0), (9.0, 6.0), (3.0, 4.0)]);
        assert_eq!((outcome.this, outcome.c, outcome.ratio), (Some(3.0), Some(4.0), Some(0.75)));
    }
}

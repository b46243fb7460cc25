//! How many checks passed and failed, and where those counts are read from.

use std::ops::AddAssign;

/// Checks that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
}

impl Tally {
    /// One check.
    pub fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }

    /// The checks in the output of `prove --verbose`.
    pub fn of_tap(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            if line.starts_with("ok ") {
                tally.passed += 1;
            } else if line.starts_with("not ok ") {
                // A check that is marked as yet to be made true fails nothing.
                tally += Self::one(line.contains("# TODO"));
            }
        }
        tally
    }

    /// The checks in the output of `cargo test`: the sum over its test programs.
    pub fn of_cargo_test(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let count = |what: &str| -> u32 {
                let before = line.split(what).next().unwrap_or_default();
                before.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
            };
            tally += Self { passed: count(" passed"), failed: count(" failed") };
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tap_lines_are_counted() {
        let text =
            "t/a.t ..\n1..4\nok 1 - a\nnot ok 2 - b\n# not ok\nok 3 # skip\nnot ok 4 - c # TODO\n";
        assert_eq!(Tally::of_tap(text), Tally { passed: 3, failed: 1 });
    }

    #[test]
    fn cargo_tests_are_summed() {
        let text = "test result: ok. 13 passed; 0 failed; 0 ignored\n\
                    test result: FAILED. 4 passed; 2 failed; 0 ignored\n";
        assert_eq!(Tally::of_cargo_test(text), Tally { passed: 17, failed: 2 });
    }
}

//! How many checks passed and failed, and where those counts are read from.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use anyhow::Result;

/// Checks that passed and failed, and those that were skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
    /// What failed, a line each.
    pub failures: Vec<String>,
}

impl Tally {
    /// One check.
    pub fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), ..Self::default() }
    }

    /// A check that failed, and what it was.
    pub fn failure(what: String) -> Self {
        Self { failed: 1, failures: vec![what], ..Self::default() }
    }

    /// The sum for a program that printed these checks and ended in `outcome`: one that died, hung or lost its
    /// plan has failed whatever its checks said. Its failures bear its `name`.
    pub fn of_program(mut self, name: &str, outcome: &Result<()>) -> Self {
        for failure in &mut self.failures {
            *failure = format!("{name}: {failure}");
        }
        if let Err(error) = outcome
            && self.failed == 0
        {
            self += Self::failure(format!("{name}: {error:#}"));
        }
        self
    }

    /// Shows what failed, and ends in the line of counts.
    pub fn show(&self) {
        if !self.failures.is_empty() {
            println!("\nfailed:\n  {}\n", self.failures.join("\n  "));
        }
        println!("{self}");
    }

    /// The checks in the output of `prove --verbose`.
    pub fn of_tap(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            if skip_reason(line).is_some() {
                tally.skipped += 1;
            } else if line.starts_with("ok ") {
                tally.passed += 1;
            } else if line.starts_with("not ok ") {
                // A check that is marked as yet to be made true fails nothing.
                tally += match line.contains("# TODO") {
                    true => Self::one(true),
                    false => Self::failure(line.to_string()),
                };
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
            let (passed, failed) = (count(" passed"), count(" failed"));
            let skipped = count(" ignored");
            tally += Self { passed, failed, skipped, ..Self::default() };
        }
        let has_failed = |line: &&str| line.starts_with("test ") && line.ends_with(" ... FAILED");
        tally.failures.extend(text.lines().filter(has_failed).map(str::to_string));
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

/// What was skipped: for each file and reason, how many checks; 0 is the whole file.
#[derive(Clone, Debug, Default)]
pub struct Skips(BTreeMap<(String, String), u32>);

impl Skips {
    /// Those in the output of `prove --verbose` for one file.
    pub fn of_tap(file: &str, text: &str) -> Self {
        let mut skips = BTreeMap::new();
        for line in text.lines() {
            if let Some((_, reason)) = line.split_once(".. skipped: ") {
                skips.insert((file.to_string(), reason.to_string()), 0);
            } else if let Some(reason) = skip_reason(line) {
                *skips.entry((file.to_string(), reason.to_string())).or_default() += 1;
            }
        }
        Self(skips)
    }

    /// Takes those of another file in.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Skips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for ((file, reason), count) in &self.0 {
            match count {
                0 => writeln!(f, "  {file}: {reason}: the whole file")?,
                1 => writeln!(f, "  {file}: {reason}: 1 check")?,
                count => writeln!(f, "  {file}: {reason}: {count} checks")?,
            }
        }
        Ok(())
    }
}

/// Why the check of a line of TAP was skipped, without the name of its block; nothing if it was not.
fn skip_reason(line: &str) -> Option<&str> {
    let (check, said) = line.split_once(" # skip ")?;
    let reason = said.rsplit(" - ").next().unwrap_or(said);
    check.starts_with("ok ").then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tap_lines_are_counted() {
        let text = "t/a.t ..\n1..4\nok 1 - a\nnot ok 2 - b\n# not ok\nok 3 # skip a - b\nnot ok 4 - c # TODO\n";
        let failures = vec!["not ok 2 - b".to_string()];
        assert_eq!(Tally::of_tap(text), Tally { passed: 2, failed: 1, skipped: 1, failures });
    }

    #[test]
    fn failures_bear_the_name_of_their_program() {
        let died = || Err(anyhow::anyhow!("it died"));
        let failed = Tally::of_tap("not ok 2 - b\n").of_program("t/a.t", &died());
        assert_eq!(failed.failures, ["t/a.t: not ok 2 - b"]);
        let ended = Tally::of_tap("ok 1 - a\n").of_program("t/a.t", &died());
        assert_eq!((ended.failed, ended.failures), (1, vec!["t/a.t: it died".to_string()]));
        let fine = Tally::of_tap("ok 1 - a\n").of_program("t/a.t", &Ok(()));
        assert_eq!(fine, Tally::one(true));
    }

    #[test]
    fn cargo_tests_are_summed() {
        let text = "test result: ok. 13 passed; 0 failed; 0 ignored\n\
                    test a::b ... ok\ntest a::c ... FAILED\ntest a::d ... FAILED\n\
                    test result: FAILED. 4 passed; 2 failed; 1 ignored\n";
        let failures = ["test a::c ... FAILED", "test a::d ... FAILED"].map(String::from).to_vec();
        let sum = Tally { passed: 17, failed: 2, skipped: 1, failures };
        assert_eq!(Tally::of_cargo_test(text), sum);
    }

    #[test]
    fn skips_are_told_by_file_and_reason() {
        let text =
            "ok 1 - a\nok 2 # skip TEST 1: x - y - no QUIC\nok 3 # skip TEST 2: z - no QUIC\n";
        let mut skips = Skips::of_tap("t/a.t", text);
        skips.extend(Skips::of_tap("t/b.t", "t/b.t .. skipped: no luck\n"));
        assert_eq!(
            skips.to_string(),
            "  t/a.t: no QUIC: 2 checks\n  t/b.t: no luck: the whole file\n"
        );
        assert!(Skips::of_tap("t/a.t", "ok 1 - a\n").is_empty());
    }
}

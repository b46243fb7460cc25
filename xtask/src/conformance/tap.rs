//! What one test file said: its TAP, added up per block.

use std::collections::BTreeMap;

/// The block that checks belong to which name none.
pub const NO_BLOCK: &str = "(file)";

/// How many checks of a block passed and failed, over all repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ok: u32,
    pub not_ok: u32,
}

impl Counts {
    /// A block passes when it made checks and none failed.
    pub fn pass(self) -> bool {
        self.ok > 0 && self.not_ok == 0
    }

    /// How many checks were made.
    pub fn checks(self) -> u32 {
        self.ok + self.not_ok
    }
}

/// How a test file ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub blocks: BTreeMap<String, Counts>,
    /// The number of checks that the file announced.
    pub planned: Option<u32>,
    /// Checks that were not made because their block does not apply here.
    pub skipped: u32,
    /// Why the file gave up, where it did.
    pub bailed_out: Option<String>,
    pub timed_out: bool,
}

impl Outcome {
    /// Adds up the text of a TAP stream.
    pub fn parse(text: &str) -> Self {
        let mut outcome = Self::default();
        for line in text.lines() {
            if let Some(reason) = line.strip_prefix("Bail out!") {
                outcome.bailed_out = Some(reason.trim().to_string());
            } else if let Some(count) = line.strip_prefix("1..") {
                outcome.planned = count.split(' ').next().and_then(|count| count.parse().ok());
            } else if let Some((ok, rest)) = check(line) {
                if rest.starts_with(" # skip") {
                    outcome.skipped += 1;
                    continue;
                }
                let counts = outcome.blocks.entry(block(rest)).or_default();
                match ok {
                    true => counts.ok += 1,
                    false => counts.not_ok += 1,
                }
            }
        }
        outcome
    }

    /// How many checks were made or skipped in all.
    pub fn ran(&self) -> u32 {
        let made: u32 = self.blocks.values().map(|counts| counts.checks()).sum();
        self.skipped + made
    }
}

/// Whether a check passed, and what follows its number; `None` where the line is no check.
fn check(line: &str) -> Option<(bool, &str)> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let rest = &rest[digits..];
    // A check that is to be done counts as passed, whatever it says.
    Some((ok || rest.contains("# TODO"), rest))
}

/// "TEST 12" of " - TEST 12: title - status code ok".
fn block(rest: &str) -> String {
    let rest = rest.trim_start_matches(" - ");
    let number = rest.strip_prefix("TEST ").unwrap_or_default();
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    match digits {
        0 => NO_BLOCK.to_string(),
        _ => format!("TEST {}", &number[..digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_added_up_per_block() {
        let outcome = Outcome::parse(
            "1..6\nok 1 - TEST 1: a - status code ok\nnot ok 2 - TEST 1: a - body\n\
             # noise\nok 3 - TEST 10: b - x\nok 4 # skip TEST 10: b - too old\n\
             not ok 5 - ERROR: client socket timed out - TEST 1: a\nokay 7\n",
        );
        assert_eq!(outcome.blocks["TEST 1"], Counts { ok: 1, not_ok: 1 });
        assert_eq!(outcome.blocks["TEST 10"], Counts { ok: 1, not_ok: 0 });
        assert_eq!(outcome.blocks[NO_BLOCK], Counts { ok: 0, not_ok: 1 });
        assert_eq!((outcome.planned, outcome.ran()), (Some(6), 5));
    }

    #[test]
    fn a_bail_out_is_kept() {
        let outcome = Outcome::parse("1..3\nBail out!  TEST 2: b - Cannot start nginx\n");
        assert_eq!(outcome.bailed_out.as_deref(), Some("TEST 2: b - Cannot start nginx"));
    }

    #[test]
    fn a_block_without_checks_does_not_pass() {
        assert!(!Counts::default().pass());
        assert!(Counts { ok: 1, not_ok: 0 }.pass());
        assert!(!Counts { ok: 5, not_ok: 1 }.pass());
    }
}

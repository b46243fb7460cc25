//! The comparison of a run with the reference, as a table and as an exit status.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::ratchet::{self, Ratchet};
use super::tap::{Counts, NO_BLOCK, Outcome};
use super::verdicts::Verdicts;

/// A block on which the run and the reference do not say the same.
struct Difference {
    file: String,
    block: String,
    reference: Option<Counts>,
    here: Option<Counts>,
    excuse: Option<String>,
}

impl Difference {
    /// The reference passes and this run does not.
    fn is_failure(&self) -> bool {
        passes(self.reference) && !passes(self.here)
    }

    /// Pass or fail differ; otherwise only the number of checks does.
    fn is_verdict(&self) -> bool {
        passes(self.reference) != passes(self.here)
    }
}

/// One file's line in the table.
struct Row {
    file: String,
    blocks: usize,
    reference: usize,
    here: usize,
    remark: String,
}

/// A finished run beside the reference.
pub struct Report {
    rows: Vec<Row>,
    differences: Vec<Difference>,
    of_reference: bool,
    /// Excused blocks that pass: their excuse is to be deleted.
    stale: Vec<String>,
}

fn passes(counts: Option<Counts>) -> bool {
    counts.is_some_and(Counts::pass)
}

fn shown(counts: Option<Counts>) -> String {
    match counts {
        None => "not run".to_string(),
        Some(Counts { ok, not_ok }) => format!("{ok} ok, {not_ok} not ok"),
    }
}

impl Report {
    /// Compares `results`; with `of_reference` a different number of checks is a difference too.
    pub fn new(
        verdicts: &Verdicts,
        results: Vec<(String, Outcome)>,
        ratchet: Option<&Ratchet>,
        of_reference: bool,
    ) -> Self {
        let mut report =
            Self { rows: Vec::new(), differences: Vec::new(), of_reference, stale: Vec::new() };
        for (file, outcome) in results {
            report.add(verdicts, &file, outcome, ratchet);
        }
        report
    }

    fn add(
        &mut self,
        verdicts: &Verdicts,
        file: &str,
        mut outcome: Outcome,
        ratchet: Option<&Ratchet>,
    ) {
        let remark = remark(&outcome);
        outcome.blocks.remove(NO_BLOCK);
        let mut here = outcome.blocks;
        let reference = verdicts.blocks(file);
        if !self.of_reference {
            // Nothing is known, and so nothing asked, of blocks that the reference did not run.
            here.retain(|block, _| reference.contains_key(block));
        }
        self.rows.push(Row {
            file: file.to_string(),
            blocks: reference.len(),
            reference: reference.values().filter(|counts| counts.pass()).count(),
            here: here.values().filter(|counts| counts.pass()).count(),
            remark,
        });
        let mut blocks: Vec<&String> = reference.keys().chain(here.keys()).collect();
        blocks.sort_by_key(|block| number(block));
        blocks.dedup();
        for block in blocks {
            let difference = Difference {
                file: file.to_string(),
                block: block.clone(),
                reference: reference.get(block).copied(),
                here: here.get(block).copied(),
                excuse: ratchet.and_then(|list| list.excuse(file, block)).map(String::from),
            };
            let at_times = difference.excuse.as_deref().is_some_and(ratchet::only_at_times);
            if difference.excuse.is_some() && !at_times && passes(difference.here) {
                self.stale.push(format!("{file}: {block}"));
            }
            let checks = |counts: Option<Counts>| counts.map(Counts::checks);
            let counted =
                self.of_reference && checks(difference.reference) != checks(difference.here);
            if difference.is_verdict() || counted {
                self.differences.push(difference);
            }
        }
    }

    fn failures(&self) -> impl Iterator<Item = &Difference> {
        let failing = self.differences.iter().filter(|difference| difference.is_failure());
        failing.filter(|difference| difference.excuse.is_none())
    }

    /// The files with blocks that fail and should not.
    pub fn failing_files(&self) -> Vec<String> {
        let mut files: Vec<String> =
            self.failures().map(|difference| difference.file.clone()).collect();
        files.dedup();
        files
    }

    /// The whole report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:<38} {:>6} {:>9} {:>5}", "file", "blocks", "reference", "here");
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{:<38} {:>6} {:>9} {:>5}  {}",
                row.file, row.blocks, row.reference, row.here, row.remark
            );
        }
        if !self.differences.is_empty() {
            let _ = writeln!(text, "\nblocks that differ (reference; here):");
        }
        for difference in &self.differences {
            let note = match &difference.excuse {
                Some(reason) => format!("  (excused: {reason})"),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "{}: {}: {}; {}{note}",
                difference.file,
                difference.block,
                shown(difference.reference),
                shown(difference.here)
            );
        }
        for block in &self.stale {
            let _ = writeln!(text, "{block} passes: delete its excuse");
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let sum = |column: fn(&Row) -> usize| self.rows.iter().map(column).sum::<usize>();
        let blocks = sum(|row| row.blocks);
        let passing = sum(|row| row.reference);
        let failures = self.failures().count();
        let mut text = format!(
            "\n{} files, {blocks} blocks: the reference passes {passing}, here {} pass; \
             {failures} that the reference passes fail here\n",
            self.rows.len(),
            sum(|row| row.here),
        );
        if self.of_reference {
            let agree = blocks.saturating_sub(self.differences.len());
            let _ = writeln!(
                text,
                "the harness agrees on {agree} of {blocks} blocks ({:.2}%)",
                100.0 * agree as f64 / blocks.max(1) as f64
            );
        }
        text
    }

    /// An error where a block fails that the reference passes and nobody excuses, or where a block
    /// passes that is excused.
    pub fn outcome(&self) -> Result<()> {
        match (self.failures().count(), self.stale.len()) {
            (0, 0) => Ok(()),
            (0, _) => bail!("blocks are excused that pass: {}", self.stale.join(", ")),
            (count, _) => bail!("{count} blocks that the reference passes fail"),
        }
    }
}

fn remark(outcome: &Outcome) -> String {
    let mut remarks = Vec::new();
    if outcome.timed_out {
        remarks.push("timed out".to_string());
    }
    if let Some(reason) = &outcome.bailed_out {
        remarks.push(format!("gave up: {reason}"));
    }
    match outcome.planned {
        Some(planned) if planned != outcome.ran() => {
            remarks.push(format!("{planned} checks planned, {} made", outcome.ran()));
        }
        None => remarks.push("no plan".to_string()),
        _ => {}
    }
    remarks.join("; ")
}

fn number(block: &str) -> u32 {
    block.strip_prefix("TEST ").and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts() -> Verdicts {
        Verdicts::parse("titles\na.t\tTEST 1\t4\t0\na.t\tTEST 2\t2\t2\n").unwrap()
    }

    fn report(tap: &str, of_reference: bool) -> Report {
        let results = vec![("a.t".to_string(), Outcome::parse(tap))];
        Report::new(&verdicts(), results, None, of_reference)
    }

    #[test]
    fn a_failing_block_that_the_reference_passes_is_an_error() {
        let report = report("1..2\nok 1 - TEST 1: a\nnot ok 2 - TEST 1: b\n", false);
        assert!(report.text().contains("a.t: TEST 1: 4 ok, 0 not ok; 1 ok, 1 not ok"));
        assert!(report.outcome().is_err());
    }

    #[test]
    fn a_block_that_did_not_run_is_a_failure() {
        assert!(report("1..0\n", false).outcome().is_err());
    }

    #[test]
    fn the_number_of_checks_counts_for_the_harness_only() {
        let tap = "1..1\nok 1 - TEST 1: a\n";
        assert!(report(tap, false).outcome().is_ok());
        assert!(!report(tap, false).text().contains("TEST 1"));
        assert!(report(tap, true).text().contains("a.t: TEST 1: 4 ok, 0 not ok; 1 ok, 0 not ok"));
    }

    #[test]
    fn failing_blocks_agree_when_they_make_as_many_checks() {
        let first =
            "1..8\nok 1 - TEST 1: a\nok 2 - TEST 1: a\nok 3 - TEST 1: a\nok 4 - TEST 1: a\n";
        let second = "not ok 5 - TEST 2: b\nok 6 - TEST 2: b\nok 7 - TEST 2: b\n";
        let agreeing = format!("{first}{second}ok 8 - TEST 2: b\n");
        assert!(report(&agreeing, true).text().contains("agrees on 2 of 2"));
        assert!(report(&format!("{first}{second}"), true).text().contains("agrees on 1 of 2"));
    }

    #[test]
    fn an_excused_block_is_reported_and_no_error() {
        let ratchet = Ratchet::parse("a.t\na.t: TEST 1 needs timers\n").unwrap();
        let results = vec![("a.t".to_string(), Outcome::parse("1..1\nnot ok 1 - TEST 1: a\n"))];
        let report = Report::new(&verdicts(), results, Some(&ratchet), false);
        assert!(report.text().contains("(excused: needs timers)"));
        assert!(report.outcome().is_ok());
    }

    #[test]
    fn an_excuse_for_a_passing_block_is_an_error() {
        for (reason, fine) in [("needs timers", false), ("at times: slow machine", true)] {
            let ratchet = Ratchet::parse(&format!("a.t\na.t: TEST 1 {reason}\n")).unwrap();
            let results = vec![("a.t".to_string(), Outcome::parse("1..1\nok 1 - TEST 1: a\n"))];
            let report = Report::new(&verdicts(), results, Some(&ratchet), false);
            assert_eq!(report.outcome().is_ok(), fine, "{reason}");
        }
    }
}

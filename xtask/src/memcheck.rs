//! Reading the logs of valgrind's memcheck.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// How many calls of a stack distinguish one finding from another, and are shown.
const FRAMES: usize = 8;

/// One place in the program with one kind of error, over all the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Memcheck's text, without the numbers that differ from run to run.
    pub kind: String,
    /// The innermost calls, innermost first.
    pub stack: Vec<String>,
    pub times: usize,
}

impl Finding {
    /// Whether it is lost memory rather than an invalid access.
    pub fn is_loss(&self) -> bool {
        self.kind.contains("definitely lost")
    }
}

/// What a set of logs holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many processes ran to their end under memcheck.
    pub processes: usize,
    /// Bytes that are definitely lost, those of suppressed losses left out.
    pub lost: u64,
    /// Bytes that were still allocated when the processes ended, lost or not.
    pub left: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Reads every `.log` file in `dir`.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut report = Self::default();
        let mut findings = BTreeMap::new();
        for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = fs::read(&path)?;
                report.add(&String::from_utf8_lossy(&text), &mut findings);
            }
        }
        report.findings = findings
            .into_iter()
            .map(|((kind, stack), times)| Finding { kind, stack, times })
            .collect();
        Ok(report)
    }

    fn add(&mut self, log: &str, findings: &mut BTreeMap<(String, Vec<String>), usize>) {
        let lines: Vec<&str> = log.lines().filter_map(content).collect();
        for paragraph in lines.split(|line| line.is_empty()) {
            let [head, rest @ ..] = paragraph else { continue };
            if head.starts_with("HEAP SUMMARY") {
                self.processes += 1;
            }
            let sum = |what| paragraph.iter().filter_map(|line| bytes(line, what)).sum::<u64>();
            self.lost += sum("definitely lost: ");
            self.left += sum("in use at exit: ");
            let calls = rest.iter().map_while(|line| call(line)).take(FRAMES);
            let stack: Vec<String> = calls.map(String::from).collect();
            if !stack.is_empty() {
                *findings.entry((kind(head), stack)).or_default() += 1;
            }
        }
    }
}

/// A line without memcheck's `==PID== `; `None` for what is not memcheck's.
fn content(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("==")?.split_once("==")?;
    Some(rest.trim())
}

/// The call in a line of a stack: `at 0x4C2B: malloc (in …)`.
fn call(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("at ").or_else(|| line.strip_prefix("by "))?;
    let (address, call) = rest.split_once(": ")?;
    address.starts_with("0x").then_some(call)
}

/// The bytes in a line of a summary: `definitely lost: 1,024 bytes in 2 blocks`.
fn bytes(line: &str, what: &str) -> Option<u64> {
    let (number, _) = line.strip_prefix(what)?.split_once(" bytes")?;
    number.replace(',', "").parse().ok()
}

/// A finding's first line as a kind: sizes of lost blocks and record numbers differ, the size of
/// a read or write does not.
fn kind(head: &str) -> String {
    match head.find("are definitely lost").is_some() {
        true => "definitely lost".into(),
        false => head.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
==7== Memcheck, a memory error detector
==7== Command: nginx
==7==\x20
==7== Invalid read of size 8
==7==    at 0x1: ngx_one (in /usr/sbin/nginx)
==7==    by 0x2: ngx_two (two.rs:7)
==7==  Address 0x5 is 16 bytes inside a block of size 32 free'd
==7==    at 0x3: free (in /usr/lib/valgrind)
==7==\x20
==7== HEAP SUMMARY:
==7==     in use at exit: 15,384 bytes in 2 blocks
==7==\x20
==7== 1,124 (100 direct, 1,024 indirect) bytes in 1 blocks are definitely lost in loss record 1 of 9
==7==    at 0x1: malloc (in /usr/lib/valgrind)
==7==\x20
==7== 32 bytes in 2 blocks are definitely lost in loss record 2 of 9
==7==    at 0x1: malloc (in /usr/lib/valgrind)
==7==\x20
==7== LEAK SUMMARY:
==7==    definitely lost: 1,156 bytes in 3 blocks
==7==\x20
";

    fn read(log: &str) -> (Report, Vec<Finding>) {
        let mut report = Report::default();
        let mut findings = BTreeMap::new();
        report.add(log, &mut findings);
        let findings = findings
            .into_iter()
            .map(|((kind, stack), times)| Finding { kind, stack, times })
            .collect();
        (report, findings)
    }

    #[test]
    fn a_log_is_read() {
        let (report, findings) = read(LOG);
        assert_eq!((report.processes, report.lost, report.left), (1, 1156, 15384));
        let [wrong, lost] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((wrong.kind.as_str(), wrong.times), ("Invalid read of size 8", 1));
        assert_eq!(wrong.stack, ["ngx_one (in /usr/sbin/nginx)", "ngx_two (two.rs:7)"]);
        assert!(!wrong.is_loss());
        assert!(lost.is_loss());
        assert_eq!(lost.times, 2);
    }

    #[test]
    fn what_the_program_itself_wrote_is_no_finding() {
        let (report, findings) = read("nginx: [emerg] no\n  at 0x1: here\n");
        assert_eq!((report, findings), (Report::default(), Vec::new()));
    }
}

//! benches/RESULTS.md: the tables, and how they were made.

use super::results::{Outcome, PARTS};
use super::{bodies, call_cost, collecting, contention, cpu, growth, measure, misses, notes, rows};

/// The whole document; `versions` says what was compared.
pub fn document(outcomes: &[Outcome], versions: &[String]) -> String {
    let mut text = format!("{HEAD}\n");
    for version in versions {
        text.push_str(&format!("- {version}\n"));
    }
    for part in PARTS {
        let of_part: Vec<&Outcome> = outcomes.iter().filter(|o| o.part == part).collect();
        if !of_part.is_empty() {
            text.push_str(&format!(
                "\n{}\n\n{}{}",
                method(part),
                table(part, &of_part),
                notes_of(&of_part)
            ));
        }
    }
    text
}

const HEAD: &str = "\
# What it costs, beside the C module

Written by `cargo xtask bench`, of which each part below is repeated by a flag of its own; the
numbers are in [results.tsv](results.tsv), and drawn in [results.svg](results.svg). Both modules run
on the same nginx binary, with the same configuration (this directory) and script:
`master_process off`, `access_log off`, release build of this module. A ratio under 1: this module
costs less. A dash: that module cannot do the row's work.
";

fn method(part: &str) -> String {
    match part {
        "requests" => format!(
            "## Instructions per request (`--requests`)\n\n\
             User-space instructions of nginx for one request, counted by `valgrind --tool=callgrind`;\n\
             they do not depend on the machine's speed or load. Each number is the difference of two\n\
             runs, of {few} and of {many} requests, divided by {more}: what happens once (start,\n\
             LuaJIT's compiling, stop) is in both. The requests go over {connections} keep-alive\n\
             connections in turns, one at a time; every answer is compared with the row's. Overhead is\n\
             the row less the first one, which runs no code of either module. Where a script is long, as\n\
             in `headers`, what LuaJIT chooses to compile differs from run to run, and the counts of\n\
             either module by a fifth: of that row, the least of {counts} such numbers is shown. The other\n\
             rows vary by a few hundredths at most.",
            few = measure::REQUESTS[0],
            many = measure::REQUESTS[1],
            more = measure::REQUESTS[1] - measure::REQUESTS[0],
            connections = measure::CONNECTIONS,
            counts = measure::COUNTS,
        ),
        "calls" => format!(
            "## One call of the API (`--calls`)\n\n\
             A Lua loop around the call, the loop included: calls.rs of xtask has the code of each row,\n\
             benches/calls/driver.lua runs it. Instructions: the difference of two loops' under\n\
             callgrind, divided by the difference of their turns. Nanoseconds: CPU time of the process,\n\
             the best of {} loops, the modules in turns. All loops run once before, so that what\n\
             LuaJIT compiles is compiled.",
            call_cost::LOOPS
        ),
        "cpu" => format!(
            "## CPU time per request (`--cpu`)\n\n\
             User and system time of the worker, from /proc/PID/schedstat, in microseconds, over the\n\
             number of requests that wrk sent in {} second. An nginx with each module runs all the time,\n\
             and wrk loads them in turns: one round to warm up, then {}; the medians, and the median of\n\
             the rounds' own ratios.",
            cpu::SECONDS,
            cpu::ROUNDS
        ),
        "misses" => misses::method(),
        "contention" => contention::method(),
        "bodies" => bodies::method(),
        _ => format!(
            "## How costs grow (`--growth`)\n\n\
             Resident memory of an nginx, before and after, for each of {} requests that sleep, {}\n\
             pending timers, {} cosocket connections in a pool; bytes of a shared dictionary's zone for\n\
             each of {} keys. Of requests, one after the other, that make garbage beside a heap of 500,000 tables:\n\
             instructions for each, over {} whole cycles of the garbage collector; and CPU time of nginx for each\n\
             of {}, the medians of {} such runs, the modules in turns, and the median of the turns' own ratios\n\
             (benches/growth/nginx.conf).",
            growth::SLEEPERS,
            growth::TIMERS,
            growth::pooled(),
            growth::KEYS,
            collecting::CYCLES,
            growth::GARBAGE,
            growth::TURNS
        ),
    }
}

fn table(part: &str, outcomes: &[&Outcome]) -> String {
    match part {
        "requests" => requests(outcomes),
        "calls" => calls(outcomes),
        _ => plain(outcomes),
    }
}

fn requests(outcomes: &[&Outcome]) -> String {
    let mut text = String::from(
        "| row | what it does | this | C | ratio | njs | overhead, this | overhead, C | ratio | overhead, njs |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let Some((baseline, _)) = outcomes.split_first() else { return text };
    for (index, outcome) in outcomes.iter().enumerate() {
        let over = |numbers: fn(&Outcome) -> Option<f64>| {
            Some(numbers(outcome)? - numbers(baseline)?).filter(|_| index > 0)
        };
        let (ours, theirs, njs) = (over(|o| o.this), over(|o| o.c), over(|o| o.njs));
        let ratio = Outcome::new("requests", "", "", ours, theirs).ratio;
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            outcome.row,
            rows::summary(&outcome.row),
            whole(outcome.this),
            whole(outcome.c),
            shown_ratio(outcome.ratio),
            whole(outcome.njs),
            whole(ours),
            whole(theirs),
            shown_ratio(ratio),
            whole(njs),
        ));
    }
    text
}

/// Both measures of a call in one line.
fn calls(outcomes: &[&Outcome]) -> String {
    let mut text = String::from(
        "| call | instructions, this | C | ratio | ns, this | C | ratio |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for counted in outcomes.iter().filter(|outcome| outcome.measure == "instructions") {
        let timed = outcomes.iter().find(|o| o.row == counted.row && o.measure == "ns");
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            counted.row,
            whole(counted.this),
            whole(counted.c),
            shown_ratio(counted.ratio),
            tenths(timed.and_then(|o| o.this)),
            tenths(timed.and_then(|o| o.c)),
            shown_ratio(timed.and_then(|o| o.ratio)),
        ));
    }
    text
}

fn plain(outcomes: &[&Outcome]) -> String {
    let mut text = String::from("| row | measure | this | C | ratio |\n|---|---|---:|---:|---:|\n");
    for Outcome { row, measure, this, c, ratio, .. } in outcomes {
        let (this, c) = (tenths(*this), tenths(*c));
        text.push_str(&format!("| {row} | {measure} | {this} | {c} | {} |\n", shown_ratio(*ratio)));
    }
    text
}

/// What costs more, and why: one line for all measures of a row that have the same note.
fn notes_of(outcomes: &[&Outcome]) -> String {
    let mut lines: Vec<(&str, Vec<&str>, String)> = Vec::new();
    for outcome in outcomes {
        let Some(note) = notes::note(outcome, outcomes) else { continue };
        match lines.iter_mut().find(|(row, _, known)| *row == outcome.row && *known == note) {
            Some((_, measures, _)) => measures.push(&outcome.measure),
            None => lines.push((&outcome.row, vec![&outcome.measure], note)),
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let shown = |(row, measures, note): &(&str, Vec<&str>, String)| {
        format!("- {row} ({}): {note}\n", measures.join("; "))
    };
    format!("\nWhere it costs more:\n\n{}", lines.iter().map(shown).collect::<String>())
}

fn whole(number: Option<f64>) -> String {
    number.map_or("–".into(), |number| separated(number.round() as i64))
}

fn tenths(number: Option<f64>) -> String {
    match number {
        Some(number) if number.abs() >= 1000.0 => whole(Some(number)),
        Some(number) => format!("{number:.1}"),
        None => "–".into(),
    }
}

fn shown_ratio(ratio: Option<f64>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"))
}

/// A number with its thousands separated.
fn separated(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(row: &str, this: Option<f64>, c: f64) -> Outcome {
        Outcome::new("requests", row, "instructions", this, Some(c))
    }

    #[test]
    fn overheads_are_compared_above_the_baseline() {
        let outcomes = [
            counted("static", Some(7000.0), 7500.0),
            counted("hello", Some(10_000.0), 11_500.0),
            counted("access", None, 12_000.0),
        ];
        let text = document(&outcomes, &["nginx 1".into()]);
        assert!(
            text.contains("| 10,000 | 11,500 | 0.87 | – | 3,000 | 4,000 | 0.75 | – |"),
            "{text}"
        );
        assert!(text.contains("| – | 12,000 | – | – | – | 4,500 | – | – |"), "{text}");
        assert!(text.contains("- nginx 1\n") && !text.contains("costs more:"), "{text}");
    }

    #[test]
    fn a_call_has_one_line_and_its_notes() {
        let outcomes = [
            Outcome::new("calls", "a", "instructions", Some(90.0), Some(100.0)),
            Outcome::new("calls", "a", "ns", Some(12.0), Some(10.0)),
        ];
        let text = document(&outcomes, &[]);
        assert!(text.contains("| a | 90 | 100 | 0.90 | 12.0 | 10.0 | 1.20 |\n"), "{text}");
        assert!(text.contains("- a (ns): 20% more"), "{text}");
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(separated(-1_234_567), "-1,234,567");
    }
}

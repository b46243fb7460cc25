//! Why some rows cost more than with the C module.

use super::results::Outcome;

/// Part, row and reason; a reason counts for all measures of its row.
const NOTES: &[(&str, &str, &str)] = &[
    (
        "requests",
        "headers",
        "its code has no loop: which parts of it LuaJIT compiles differs from run to run, by a fifth",
    ),
    (
        "calls",
        "req.get_headers",
        "about 200 of its 3,400 instructions are this module's, for checking lengths; with the others \
         lua-resty-core's Lua code makes strings and a table",
    ),
    (
        "calls",
        "shdict-get-1m",
        "both wait for twenty nodes of a tree to come from memory: a run varies by a tenth",
    ),
    (
        "calls",
        "require",
        "LuaJIT compiles it with both; where names lie in `package.loaded` differs from run to run, and the counts of \
         either module by a twentieth",
    ),
    (
        "calls",
        "req.get_body_data",
        "a guard against panics, and what keeps the body while its string is made, which may run a finalizer",
    ),
    ("cpu", "cosocket", COSOCKET),
];

const COSOCKET: &str = "two more system calls: before a connection goes into a pool, and when it comes out, it is \
                        asked for bytes that nginx has not heard of";
/// For a time that is more, where the instructions are not.
const TIMES_VARY: &str = "no more instructions; times vary by some hundredths from run to run";
/// For a ratio that is more, where the number is not.
const ROUNDS_VARY: &str = "the rounds' own ratios, whose median that is, vary by some hundredths";
/// From what ratio on a row is explained: instructions of a run vary by less.
const EXPLAINED: f64 = 1.005;
/// Up to what ratio a time may be more by chance.
const VARIES: f64 = 1.05;

/// The note of a row of `part` that costs more; nothing for the others.
pub fn note(outcome: &Outcome, part: &[&Outcome]) -> Option<String> {
    let ratio = outcome.ratio.filter(|ratio| *ratio > EXPLAINED)?;
    let counted = part.iter().find(|o| o.row == outcome.row && o.measure == "instructions");
    let is_time = outcome.measure == "ns" && ratio < VARIES;
    if is_time && counted.and_then(|o| o.ratio).is_some_and(|ratio| ratio <= EXPLAINED) {
        return Some(TIMES_VARY.to_string());
    }
    let reason = NOTES.iter().find(|(part, row, _)| *part == outcome.part && *row == outcome.row);
    Some(match reason {
        Some((_, _, reason)) => reason.to_string(),
        None => {
            let more = outcome.this.unwrap_or_default() - outcome.c.unwrap_or_default();
            if more <= 0.0 {
                return Some(ROUNDS_VARY.to_string());
            }
            // Under load, the measure is how many connections there were.
            let unit = if outcome.part == "cpu" { "µs" } else { outcome.measure.as_str() };
            format!("{:.0}% more: {more:.1} {unit}", (ratio - 1.0) * 100.0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_for_rows_that_are_there() {
        let known = |part: &str, row: &str| match part {
            "calls" => super::super::calls::CALLS.iter().any(|call| call.name == row),
            "growth" | "contention" | "bodies" => true,
            _ => super::super::rows::ROWS.iter().any(|known| known.name == row),
        };
        for (index, (part, row, _)) in NOTES.iter().enumerate() {
            assert!(known(part, row), "{part} {row}");
            assert!(
                NOTES[..index].iter().all(|other| (other.0, other.1) != (*part, *row)),
                "{row}"
            );
        }
    }

    #[test]
    fn what_costs_more_is_explained() {
        let outcome = |ours| Outcome::new("calls", "no such", "ns", Some(ours), Some(10.0));
        assert_eq!(note(&outcome(10.0), &[]), None);
        assert_eq!(note(&outcome(12.0), &[]).unwrap(), "20% more: 2.0 ns");
        let of_rounds = Outcome { ratio: Some(1.01), ..outcome(9.9) };
        assert_eq!(note(&of_rounds, &[]).unwrap(), ROUNDS_VARY);
    }

    #[test]
    fn a_time_may_be_more_by_chance() {
        let outcome =
            |measure, ours| Outcome::new("calls", "no such", measure, Some(ours), Some(100.0));
        let (fewer, more) = (outcome("instructions", 99.0), outcome("instructions", 101.0));
        let time = outcome("ns", 103.0);
        assert_eq!(note(&time, &[&fewer, &time]).unwrap(), TIMES_VARY);
        assert_eq!(note(&time, &[&more, &time]).unwrap(), "3% more: 3.0 ns");
        assert_eq!(note(&outcome("ns", 106.0), &[&fewer]).unwrap(), "6% more: 6.0 ns");
    }
}

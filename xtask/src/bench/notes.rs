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
        "md5-4k",
        "instructions more, so that fewer of them wait for one another: MD5 is one chain of 64 steps \
         for each block, of four or five dependent instructions each, which no processor shortens",
    ),
    (
        "calls",
        "req.get_headers",
        "about 200 of its 3,400 instructions are this module's, for checking lengths; with the others \
         lua-resty-core's Lua code makes strings and a table",
    ),
    ("calls", "get_phase", CHECKS),
    (
        "calls",
        "shdict-get-1m",
        "both wait for twenty nodes of a tree to come from memory: a run varies by a tenth",
    ),
    (
        "calls",
        "coroutine.resume",
        "the scheduler's record of the coroutine, a shared value found by its key",
    ),
    ("calls", "coroutine.create", "the scheduler's record of the coroutine is made, and freed"),
    ("cpu", "cosocket", COSOCKET),
    ("growth", "sleeping request", "a context, a task and its operation are memory of their own"),
];

const COSOCKET: &str = "each call finds its task, counts itself in for as long as it uses the socket, and \
                        checks who else waits on it";
const CHECKS: &str = "nginx's own look-up is most of it; pointers and lengths are checked on top";
/// From what ratio on a row is explained: instructions of a run vary by less.
const EXPLAINED: f64 = 1.005;

/// The note of a row that costs more; nothing for the others.
pub fn note(outcome: &Outcome) -> Option<String> {
    let ratio = outcome.ratio.filter(|ratio| *ratio > EXPLAINED)?;
    let reason = NOTES.iter().find(|(part, row, _)| *part == outcome.part && *row == outcome.row);
    Some(match reason {
        Some((_, _, reason)) => reason.to_string(),
        None => {
            let more = outcome.this.unwrap_or_default() - outcome.c.unwrap_or_default();
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
            "growth" => true,
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
        assert_eq!(note(&outcome(10.0)), None);
        assert_eq!(note(&outcome(12.0)).unwrap(), "20% more: 2.0 ns");
    }
}

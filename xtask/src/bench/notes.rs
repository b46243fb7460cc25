//! Why some rows cost more than with the C module.

use super::results::Outcome;

/// Part, row and reason; a reason counts for all measures of its row.
const NOTES: &[(&str, &str, &str)] = &[];

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
            format!("{:.0}% more: {more:.1} {}", (ratio - 1.0) * 100.0, outcome.measure)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_is_explained() {
        let outcome = |ours| Outcome::new("calls", "no such", "ns", Some(ours), Some(10.0));
        assert_eq!(note(&outcome(10.0)), None);
        assert_eq!(note(&outcome(12.0)).unwrap(), "20% more: 2.0 ns");
    }
}

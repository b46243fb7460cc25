//! The outcome as a table, on the screen and in benches/RESULTS.md.

use super::measure::{CONNECTIONS, REQUESTS};
use super::rows::Row;

/// One row, measured with both modules; an error says why there is no number.
pub struct Line {
    pub row: Row,
    pub ours: Result<u64, String>,
    pub theirs: Result<u64, String>,
}

/// The table, for lines whose first one is the baseline.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::from(
        "| row | what it does | this | C | ratio | overhead, this | overhead, C | ratio |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    let Some((baseline, rest)) = lines.split_first() else { return text };
    text.push_str(&format!("{}| | | |\n", cells(baseline)));
    for line in rest {
        let ours = over(&line.ours, &baseline.ours);
        let theirs = over(&line.theirs, &baseline.theirs);
        text.push_str(&format!(
            "{}| {} | {} | {} |\n",
            cells(line),
            shown(ours),
            shown(theirs),
            ratio(ours, theirs)
        ));
    }
    text
}

fn cells(line: &Line) -> String {
    let (ours, theirs) = (line.ours.as_ref().ok(), line.theirs.as_ref().ok());
    format!(
        "| {} | {} | {} | {} | {} ",
        line.row.name,
        line.row.summary,
        shown(ours.map(|n| *n as i64)),
        shown(theirs.map(|n| *n as i64)),
        ratio(ours.map(|n| *n as i64), theirs.map(|n| *n as i64))
    )
}

fn over(row: &Result<u64, String>, baseline: &Result<u64, String>) -> Option<i64> {
    Some(*row.as_ref().ok()? as i64 - *baseline.as_ref().ok()? as i64)
}

/// A count with thousands separated; a dash where there is none.
fn shown(number: Option<i64>) -> String {
    let Some(number) = number else { return "–".into() };
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn ratio(ours: Option<i64>, theirs: Option<i64>) -> String {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs > 0 => format!("{:.2}", ours as f64 / theirs as f64),
        _ => "–".into(),
    }
}

/// The rows that could not be measured, and why.
pub fn gaps(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        for (who, result) in [("this module", &line.ours), ("the C module", &line.theirs)] {
            if let Err(reason) = result {
                text.push_str(&format!("- `{}` does not run on {who}: {reason}\n", line.row.name));
            }
        }
    }
    text
}

/// benches/RESULTS.md; `versions` says what was compared.
pub fn document(lines: &[Line], versions: &[String]) -> String {
    let mut text = format!(
        "# Instructions per request\n\n\
         Written by `cargo xtask bench`, which repeats it. User-space instructions of nginx for one\n\
         request, counted by `valgrind --tool=callgrind`; instruction counts do not depend on the\n\
         machine's speed or load. Both modules run on the same nginx binary, with the same\n\
         configuration (`benches/nginx.conf` and one file of `benches/rows/`) and script:\n\
         `master_process off`, `access_log off`, `error_log crit`, release build of this module.\n\n\
         Each number is the difference of two runs, of {few} and of {many} requests, divided by\n\
         {more}: what happens once (start, LuaJIT's compiling, stop) is in both. The requests go\n\
         over {CONNECTIONS} keep-alive connections in turns, one at a time; every answer is compared\n\
         with the row's. Overhead is the row less the first one, which runs no Lua. A ratio under 1:\n\
         this module needs fewer.\n\n",
        few = REQUESTS[0],
        many = REQUESTS[1],
        more = REQUESTS[1] - REQUESTS[0],
    );
    for version in versions {
        text.push_str(&format!("- {version}\n"));
    }
    text.push('\n');
    text.push_str(&table(lines));
    let gaps = gaps(lines);
    if !gaps.is_empty() {
        text.push_str(&format!("\nNot measured:\n\n{gaps}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::rows::{BASELINE, ROWS};
    use super::*;

    #[test]
    fn overheads_are_compared_above_the_baseline() {
        let lines = [
            Line { row: BASELINE, ours: Ok(7000), theirs: Ok(7500) },
            Line { row: ROWS[0], ours: Ok(10_000), theirs: Ok(11_500) },
            Line { row: ROWS[1], ours: Err("no such thing".into()), theirs: Ok(12_000) },
        ];
        let table = table(&lines);
        assert!(table.contains("| 10,000 | 11,500 | 0.87 | 3,000 | 4,000 | 0.75 |"), "{table}");
        assert!(table.contains("| – | 12,000 | – | – | 4,500 | – |"), "{table}");
        assert_eq!(gaps(&lines), "- `access` does not run on this module: no such thing\n");
        assert_eq!(shown(Some(-1_234_567)), "-1,234,567");
    }
}

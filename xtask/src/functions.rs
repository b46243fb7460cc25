//! The table of Lua functions, the `Row`s of `src/api/`, held by tests: each row says where its
//! function may be called; those that ask for the phase late are tried in a wrong one.

use std::fs;

use crate::paths;

/// One row as the source writes it: `Row::late::<{ PhaseSet::REQUEST.0 }, _>(c"flush", flush)`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    /// `anywhere`, `in_phases`, `late`, `late_anywhere` or `in_request`.
    kind: String,
    /// The phases as written; none where the kind says all.
    phases: Option<String>,
    name: String,
}

/// The rows in a source file, without those of its comments.
fn rows(source: &str) -> Vec<Row> {
    let code: Vec<&str> =
        source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let code = code.join(" ");
    code.split("Row::").skip(1).filter_map(row).collect()
}

fn row(text: &str) -> Option<Row> {
    let (kind, rest) = text.split_at(text.find(|c: char| !(c.is_alphanumeric() || c == '_'))?);
    let (phases, rest) = match rest.strip_prefix("::<") {
        Some(rest) => {
            let (phases, rest) = rest.split_once(", _>")?;
            (Some(phases.trim_matches(['{', '}', ' ']).to_string()), rest)
        }
        None => (None, rest),
    };
    let name = rest.strip_prefix('(')?.trim_start().strip_prefix("c\"")?.split('"').next()?;
    Some(Row { kind: kind.to_string(), phases, name: name.to_string() })
}

/// All rows.
fn table() -> Vec<Row> {
    let files = paths::below(&paths::root().join("src/api"), "rs").unwrap();
    files.into_iter().flat_map(|file| rows(&fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn every_row_names_its_phases() {
    let rows = table();
    assert!(rows.len() > 70, "{} rows are not the whole table", rows.len());
    for row in rows {
        let is_told = match row.kind.as_str() {
            "anywhere" | "in_request" => row.phases.is_none(),
            "in_phases" | "late" | "late_anywhere" => {
                row.phases.as_ref().is_some_and(|phases| !phases.contains("MAX"))
            }
            _ => false,
        };
        assert!(is_told, "{row:?}");
    }
}

#[test]
fn who_is_to_ask_for_the_phase_is_tried() {
    let tried = fs::read_to_string(paths::root().join("t/203-wrong-phase.t")).unwrap();
    for row in table().iter().filter(|row| row.kind.starts_with("late")) {
        let call = format!("{}(", row.name.trim_start_matches('_'));
        assert!(tried.contains(&call), "t/203-wrong-phase.t does not try {}", row.name);
    }
}

#[test]
fn rows_are_read() {
    let source = "// Row::anywhere(c\"old\", old)\n    Row::anywhere(c\"at\", at),\n    \
                  Row::late::<{ PhaseSet::REQUEST.0 }, _>(\n        c\"eof\",\n        eof,\n    ),\n";
    let row = |kind: &str, phases: Option<&str>, name: &str| Row {
        kind: kind.into(),
        phases: phases.map(Into::into),
        name: name.into(),
    };
    let expected = [row("anywhere", None, "at"), row("late", Some("PhaseSet::REQUEST.0"), "eof")];
    assert_eq!(rows(source), expected);
}

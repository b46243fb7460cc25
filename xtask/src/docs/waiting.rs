//! The page `docs/waiting.md`: the phases, and the functions that wait.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::entry::Family;
use super::function::Function;
use super::phases::{self, HttpPhase, Phase, PhaseSet, Place, Where, listed};

/// What waits, in columns: a function that stands for all in it, the title, and where the C module has it.
const COLUMNS: &[(&str, &str, &str)] = &[
    (
        "ngx.sleep",
        "`ngx.sleep`, cosockets, light threads, semaphores, `ngx.pipe`",
        "ServerRewrite Rewrite Access Precontent Content Timer HANDSHAKE -SslSessionStore UPSTREAM_HANDSHAKE",
    ),
    ("require", "`require`, `dofile`, `table.sort`, `string.gsub` of code that waits", ""),
    ("ngx.location.capture", "`ngx.location.capture`", "Rewrite Access Content"),
    (
        "ngx.req.read_body",
        "`ngx.req.read_body`, `ngx.req.socket`, `ngx.flush(true)`",
        "ServerRewrite Rewrite Access Precontent Content",
    ),
];
/// Where the C module waits on an nginx that has OpenResty's patches only.
const PATCHED: &str = "HANDSHAKE UPSTREAM_HANDSHAKE";

/// The page.
///
/// Errors: a column for a function that there is not.
pub fn page(intro: &str, families: &[Family], functions: &[Function]) -> Result<String> {
    let mut page = format!("# What can wait where\n\n{}\n\n{}\n", super::page::MADE, intro.trim());
    page += "\n## The phases\n\n| code | runs | for | may wait |\n|---|---|---|---|\n";
    let _ = writeln!(page, "| `{}` | before the workers start | no request | no |", phases::INIT);
    for phase in phases::ordered() {
        let row = phase.row();
        let waits = if row.waits { "**yes**" } else { "no" };
        let (runs, request) = (runs(phase), request(phase));
        let _ = writeln!(page, "| `{}` | {runs} | {request} | {waits} |", row.name);
    }
    page += &comparison(functions)?;
    page += "\n## The functions that wait\n";
    let mut groups: Vec<(Where, Vec<String>)> = Vec::new();
    for family in families {
        for entry in &family.entry {
            let Some(waits) = &entry.waits else { continue };
            let function = functions.iter().find(|function| function.name == entry.name);
            let all = function.map_or(PhaseSet::NONE, |function| function.allowed.phases);
            let place = Where::of(PhaseSet(all.0 & PhaseSet::YIELDABLE.0));
            let line = match waits.as_str() {
                "always" => format!("`{}`", entry.name),
                when => format!("`{}` ({when})", entry.name),
            };
            match groups.iter_mut().find(|(known, _)| *known == place) {
                Some((_, lines)) => lines.push(line),
                None => groups.push((place, vec![line])),
            }
        }
    }
    for (place, lines) in groups {
        let _ = write!(page, "\nIn {}:\n\n", listed(&place.names()));
        for line in lines {
            let _ = writeln!(page, "- {line}");
        }
    }
    Ok(page)
}

/// The table of phases against functions, in this module and in the C module.
fn comparison(functions: &[Function]) -> Result<String> {
    let mut table = "\n## This module and the C module\n\n\
        Each cell: whether it may wait here / in the C module, where *patched* is an nginx with OpenResty's patches.\n\n\
        | code |"
        .to_string();
    let patched = Where::parse(PATCHED)?.phases;
    let mut columns = Vec::new();
    for (name, title, in_c) in COLUMNS {
        let function = functions.iter().find(|function| function.name == *name);
        let function = function.with_context(|| format!("no function is called {name}"))?;
        let here = PhaseSet(function.allowed.phases.0 & PhaseSet::YIELDABLE.0);
        columns.push((here, Where::parse(in_c)?.phases));
        let _ = write!(table, " {title} |");
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(COLUMNS.len()));
    for phase in phases::ordered() {
        let _ = write!(table, "| `{}` |", phase.context_name());
        for (here, in_c) in &columns {
            let here = if here.has(phase) { "**yes**" } else { "no" };
            let in_c = match (in_c.has(phase), patched.has(phase)) {
                (true, true) => "patched",
                (true, false) => "yes",
                (false, _) => "no",
            };
            let _ = write!(table, " {here} / {in_c} |");
        }
        table.push('\n');
    }
    Ok(table)
}

/// When the code of a phase runs.
fn runs(phase: Phase) -> &'static str {
    match phase.row().place {
        Place::Handler(HttpPhase::ServerRewrite) => "before a location is chosen",
        Place::Handler(HttpPhase::Rewrite) => {
            "with the location's `rewrite` directives, after them"
        }
        Place::Handler(HttpPhase::Access) => "where access is decided",
        Place::Handler(HttpPhase::Precontent) => "before the response is made",
        Place::Handler(HttpPhase::Log) => "after the response",
        Place::Content => "to make the response",
        Place::HeaderFilter => "before the response's header is sent",
        Place::BodyFilter => "for each part of the response's body",
        Place::Variable => "among the `rewrite` directives, to set a variable",
        Place::Balancer => "for each try to reach a server of an `upstream` block",
        Place::Handshake => "in a client's TLS handshake",
        Place::UpstreamHandshake => "in a TLS handshake with a server",
        Place::Worker if phase == Phase::InitWorker => "when a worker starts",
        Place::Worker => "when a worker ends",
        Place::Timer => "after a time",
    }
}

fn request(phase: Phase) -> &'static str {
    if PhaseSet::FAKE.has(phase) { "a fake request" } else { "a client's request" }
}

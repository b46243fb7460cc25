//! The page `docs/waiting.md`: the phases, and the functions that wait.

use std::fmt::Write;

use super::entry::Family;
use super::function::Function;
use super::phases::{self, HttpPhase, Phase, PhaseSet, Place, Where, listed};

/// The page.
pub fn page(intro: &str, families: &[Family], functions: &[Function]) -> String {
    let mut page = format!("# What can wait where\n\n{}\n\n{}\n", super::page::MADE, intro.trim());
    page += "\n## The phases\n\n| code | runs | for | may wait |\n|---|---|---|---|\n";
    let _ = writeln!(page, "| `{}` | before the workers start | no request | no |", phases::INIT);
    for phase in phases::ordered() {
        let row = phase.row();
        let waits = if row.waits { "**yes**" } else { "no" };
        let (runs, request) = (runs(phase), request(phase));
        let _ = writeln!(page, "| `{}` | {runs} | {request} | {waits} |", row.name);
    }
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
    page
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

//! `lua_status`: what Lua code does, costs and holds, in each worker and in all of them.
//!
//! `report` walks over the families of numbers; `text`, `json` and `prometheus` write what it tells them.

mod json;
mod prometheus;
mod publish;
mod report;
mod text;

use codec::args;
use codec::fallible::{self, OutOfMemory};

pub use publish::{start, stop};
pub use report::Report;

/// What a response is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
    Prometheus,
}

/// What the arguments of a request ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    pub format: Format,
    /// Prometheus: one sample for each worker, instead of one for all.
    pub by_worker: bool,
}

/// An argument has a value that it cannot have.
pub struct BadArgument;

impl Wanted {
    /// What the query string asks for. Other arguments are ignored.
    pub fn by(query: &[u8]) -> Result<Result<Wanted, BadArgument>, OutOfMemory> {
        let mut query = fallible::copy(query)?;
        let mut wanted = Ok(Wanted::default());
        args::decode(&mut query, 0, |name, value| {
            let Ok(so_far) = &mut wanted else { return };
            match (name, value.unwrap_or_default()) {
                (b"format", b"text") => so_far.format = Format::Text,
                (b"format", b"json") => so_far.format = Format::Json,
                (b"format", b"prometheus") => so_far.format = Format::Prometheus,
                (b"by", b"worker") => so_far.by_worker = true,
                (b"format" | b"by", _) => wanted = Err(BadArgument),
                _ => {}
            }
        });
        Ok(wanted)
    }
}

/// The response: its type and its body.
pub fn write(report: &Report, wanted: Wanted) -> Result<(&'static [u8], String), OutOfMemory> {
    let by_worker = wanted.by_worker;
    Ok(match wanted.format {
        Format::Text => (b"text/plain", fallible::format(format_args!("{}", text::Text(report)))?),
        Format::Json => {
            (b"application/json", fallible::format(format_args!("{}", json::Json(report)))?)
        }
        Format::Prometheus => {
            let shown = prometheus::Prometheus { report, by_worker };
            (b"text/plain; version=0.0.4", fallible::format(format_args!("{shown}"))?)
        }
    })
}

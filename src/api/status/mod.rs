//! `lua_status`: what Lua code does, costs and holds, in each worker and in all of them.
//!
//! `report` walks over the families of numbers; `text`, `json` and `prometheus` write them.

mod json;
mod prometheus;
mod publish;
mod report;
mod text;

use codec::fallible::{self, OutOfMemory};

use crate::api::formats::{self, Answer, BadArgument, Format};

pub use publish::{start, stop};
pub use report::Report;

/// What the arguments of a request ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    pub format: Format,
    /// In Prometheus' format: one sample for each worker, instead of one for all.
    pub by_worker: bool,
}

const FORMATS: [Format; 3] = [Format::Text, Format::Json, Format::Prometheus];

impl Wanted {
    /// What the query string asks for. Arguments with other names are ignored.
    pub fn by(query: &[u8]) -> Result<Result<Wanted, BadArgument>, OutOfMemory> {
        let mut wanted = Wanted::default();
        let arguments = formats::for_each_argument(query, |name, value| {
            match (name, value) {
                (b"format", name) => wanted.format = Format::named(name, &FORMATS)?,
                (b"by", b"worker") => wanted.by_worker = true,
                (b"by", _) => return Err(BadArgument),
                _ => {}
            }
            Ok(())
        });
        Ok(arguments?.map(|()| wanted))
    }
}

/// The response to a request that asks for `wanted`.
pub fn write(report: &Report<'_>, wanted: Wanted) -> Result<Answer, OutOfMemory> {
    let by_worker = wanted.by_worker;
    let body = match wanted.format {
        Format::Json => fallible::format(format_args!("{}", json::Json(report)))?,
        Format::Prometheus => {
            let shown = prometheus::Prometheus { report, by_worker };
            fallible::format(format_args!("{shown}"))?
        }
        _ => fallible::format(format_args!("{}", text::Text(report)))?,
    };
    Ok(Answer::new(wanted.format, body.into_bytes()))
}

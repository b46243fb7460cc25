//! The picture of folded stacks: a flame graph.

use codec::fallible::{self, OutOfMemory};
use codec::folded::{Folded, Lines};
use inferno::flamegraph::{self, Options};

/// How much is drawn at most. A picture of more would block the worker for too long, and nobody
/// could read it.
const FRAMES: usize = 4000;
const BYTES: usize = 128 * 1024;
/// More memory, in bytes, than is in use while a picture of that size is drawn.
const MEMORY: usize = 8 * 1024 * 1024;

/// Draws the stacks with the largest numbers. `unit` is the unit of these.
pub fn draw(folded: &Folded, title: String, unit: &'static str) -> Result<Vec<u8>, OutOfMemory> {
    let stacks = folded.largest(FRAMES, BYTES)?;
    let lines = fallible::format(format_args!("{}", Lines(&stacks)))?;
    // The crate allocates infallibly, which would end the process: so there must be enough memory
    // now.
    drop(fallible::with_capacity::<u8>(MEMORY)?);
    if stacks.is_empty() {
        return empty(&title);
    }
    let mut options = Options::default();
    options.title = title;
    options.count_name = unit.into();
    options.hash = true;
    options.deterministic = true;
    let mut picture = Vec::new();
    match flamegraph::from_lines(&mut options, lines.lines(), &mut picture) {
        Ok(()) => Ok(picture),
        Err(error) => empty(&fallible::format(format_args!("{error}"))?),
    }
}

/// A picture without stacks: a line of text.
fn empty(text: &str) -> Result<Vec<u8>, OutOfMemory> {
    let picture = fallible::format(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"60\">\
         <text x=\"10\" y=\"35\" font-family=\"monospace\">{text}: nothing</text></svg>\n"
    ))?;
    Ok(picture.into_bytes())
}

//! What the arguments of a request to `lua_profile` ask for.

use codec::fallible::OutOfMemory;

use crate::api::formats::{self, BadArgument, Format};
use crate::runtime::profile::Mode;

/// The longest time that is recorded, in milliseconds.
const LONGEST: usize = 600_000;
/// The time without the argument `seconds`, in milliseconds.
const USUAL: usize = 10_000;
/// The most milliseconds of CPU time per sample.
const MOST_PER_SAMPLE: usize = 1000;
/// Those without the argument `interval`.
const PER_SAMPLE: usize = 10;

/// Whose code is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The code of the worker that answers.
    Own,
    /// The code of one worker, by its number, as `ngx.worker.id` returns it.
    Worker(i32),
    /// The code of all workers.
    All,
}

const FORMATS: [Format; 3] = [Format::Folded, Format::Svg, Format::Text];

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// [`Format::Folded`] or [`Format::Svg`]; for memory, also [`Format::Text`].
    pub format: Format,
    /// Whether it asks what takes the VM's memory: nothing is recorded then.
    pub memory: bool,
    pub mode: Mode,
    pub whose: Whose,
    /// How long is recorded, in milliseconds.
    pub duration: usize,
    /// The CPU time per sample, in milliseconds.
    pub interval: usize,
}

/// The response to a request whose arguments have values that they cannot have.
pub const REFUSAL: &str = "lua_profile takes the arguments seconds (0.001 to 600), mode (cpu or wait), interval \
                           (1 to 1000 milliseconds), worker (its number, or all), and format (folded or svg); or memory, and format (text, \
                           folded, or svg)\n";

impl Wanted {
    /// What the query string asks for. Arguments with other names are ignored.
    pub fn by(query: &[u8]) -> Result<Result<Wanted, BadArgument>, OutOfMemory> {
        let mut wanted = Wanted {
            format: Format::Text,
            memory: false,
            mode: Mode::Cpu,
            whose: Whose::Own,
            duration: USUAL,
            interval: PER_SAMPLE,
        };
        let mut format = None;
        let arguments = formats::for_each_argument(query, |name, value| {
            match (name, value) {
                (b"format", name) => format = Some(Format::named(name, &FORMATS)?),
                (b"memory", _) => wanted.memory = true,
                (b"mode", b"cpu") => wanted.mode = Mode::Cpu,
                (b"mode", b"wait") => wanted.mode = Mode::Wait,
                (b"seconds", seconds) => wanted.duration = milliseconds(seconds)?,
                (b"interval", number) => wanted.interval = within(parse(number)?, MOST_PER_SAMPLE)?,
                (b"worker", b"all") => wanted.whose = Whose::All,
                (b"worker", number) => {
                    let number = i32::try_from(parse(number)?).map_err(|_| BadArgument)?;
                    wanted.whose = Whose::Worker(number);
                }
                (b"mode", _) => return Err(BadArgument),
                _ => {}
            }
            Ok(())
        });
        wanted.format = match (format, wanted.memory) {
            // A worker can look at the memory of its own VM only.
            (_, true) if wanted.whose != Whose::Own => return Ok(Err(BadArgument)),
            (Some(Format::Text), false) => return Ok(Err(BadArgument)),
            (Some(format), _) => format,
            (None, true) => Format::Text,
            (None, false) => Format::Folded,
        };
        Ok(arguments?.map(|()| wanted))
    }
}

/// Parses a number of seconds, of whose decimals the first three count. The result is in
/// milliseconds.
fn milliseconds(seconds: &[u8]) -> Result<usize, BadArgument> {
    let mut parts = seconds.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let decimals = parts.next().unwrap_or(b"0");
    let thousandths = decimals.get(..3).unwrap_or(decimals);
    let scale = [1000, 100, 10, 1].get(thousandths.len()).ok_or(BadArgument)?;
    let whole = if whole.is_empty() { 0 } else { parse(whole)? };
    let all = whole.saturating_mul(1000).saturating_add(parse(thousandths)?.saturating_mul(*scale));
    within(all, LONGEST)
}

fn parse(digits: &[u8]) -> Result<usize, BadArgument> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadArgument);
    }
    let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.ok_or(BadArgument)
}

fn within(number: usize, most: usize) -> Result<usize, BadArgument> {
    if (1..=most).contains(&number) { Ok(number) } else { Err(BadArgument) }
}

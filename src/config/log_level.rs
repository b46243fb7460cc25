//! `lua_log_level [timeout=LEVEL] [abort=LEVEL]`.

use super::location::LocationConf;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::log::Level;

/// The level of each kind of event, where it is set.
#[derive(Clone, Copy, Default)]
pub struct LogLevels {
    /// A cosocket has waited for too long.
    pub timeout: Option<Level>,
    /// The client has left, or takes no output.
    pub abort: Option<Level>,
}

impl LogLevels {
    /// These levels; those that are not set are taken from `outer`.
    pub fn over(self, outer: LogLevels) -> LogLevels {
        LogLevels { timeout: self.timeout.or(outer.timeout), abort: self.abort.or(outer.abort) }
    }
}

pub(super) fn set(cf: Conf, location: &LocationConf) -> ConfResult {
    let levels = &mut location.written.borrow_mut().log_levels;
    for index in 1..cf.words().len() {
        let word = cf.word(index);
        let at = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
        let (kind, name) = word.split_at(at);
        let level = match kind {
            b"timeout" => &mut levels.timeout,
            b"abort" => &mut levels.abort,
            _ => return Err(refuse(cf, word, b"\", it must be timeout=LEVEL or abort=LEVEL")),
        };
        if level.is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let named = name.strip_prefix(b"=").and_then(Level::from_name);
        *level = Some(
            named.ok_or_else(|| refuse(cf, word, b"\", it must end in a level of error_log"))?,
        );
    }
    Ok(())
}

fn refuse(cf: Conf, word: &[u8], explanation: &[u8]) -> ConfError {
    cf.refuse(&[b"invalid parameter \"".as_slice(), word, explanation].concat())
}

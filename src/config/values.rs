//! Setting a directive's value, once, with nginx's own error texts.

use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::conf_value;

/// `on` or `off`.
pub fn set_flag(conf: Conf, value: &mut Option<bool>) -> ConfResult {
    // nginx takes the directive's name in this error from the command, which is the same word.
    let text = conf.word(1);
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match text.to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Err(refuse(conf, b", it must be \"on\" or \"off\"")),
    });
    Ok(())
}

/// Refuses a directive's value with nginx's text, followed by `explanation`, which may be empty.
pub fn refuse(conf: Conf, explanation: &[u8]) -> ConfError {
    let (value, name) = (conf.word(1), conf.word(0));
    let text =
        [b"invalid value \"".as_slice(), value, b"\" in \"", name, b"\" directive", explanation];
    conf.refuse(&text.concat())
}

/// A time, in milliseconds.
pub fn set_msec(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, conf_value::msec)
}

/// A size in bytes.
pub fn set_size(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, conf_value::size)
}

/// A number.
pub fn set_number(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, conf_value::number)
}

fn set(
    conf: Conf,
    value: &mut Option<usize>,
    read: fn(Conf) -> Result<usize, ConfError>,
) -> ConfResult {
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(read(conf)?);
    Ok(())
}

/// A text as it is written.
pub fn set_text(conf: Conf, value: &mut Option<Vec<u8>>) -> ConfResult {
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(conf.word(1).to_vec());
    Ok(())
}

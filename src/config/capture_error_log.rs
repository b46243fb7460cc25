//! `lua_capture_error_log SIZE`.

use super::main::MainConf;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult, parse_size};
use crate::nginx::core::log::MAX_LINE;
use crate::nginx::core::log_capture::Capture;

/// Makes the buffer. It is attached to the error logs later, when these are known.
pub fn define(cf: Conf, main: &MainConf) -> ConfResult {
    if main.capture().is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    let size = cf.word(1);
    let invalid = [b"invalid capture error log size \"".as_slice(), size, b"\""].concat();
    if size.is_empty() {
        return Err(cf.refuse(&invalid));
    }
    let min = MAX_LINE;
    let Some(bytes) = parse_size(size).filter(|bytes| *bytes >= min) else {
        let least = format!(", minimum size is {min}");
        return Err(cf.refuse(&[&invalid, least.as_bytes()].concat()));
    };
    let capture = Capture::define(cf, bytes).map_err(|_| cf.refuse(b"malloc() failed"))?;
    main.set_capture(capture);
    Ok(())
}

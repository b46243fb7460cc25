//! `lua_shared_dict NAME SIZE`.

use super::main::MainConf;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult, parse_size};

/// The minimum size of a dictionary's zone, in bytes.
const MIN_SIZE: usize = 8192;

/// Registers a dictionary's zone.
pub fn define(cf: Conf, main: &MainConf) -> ConfResult {
    let (name, size) = (cf.word(1), cf.word(2));
    if name.is_empty() {
        return Err(cf.refuse(b"invalid lua shared dict name \"\""));
    }
    let Some(bytes) = parse_size(size).filter(|bytes| *bytes >= MIN_SIZE) else {
        let text = [b"invalid lua shared dict size \"".as_slice(), size, b"\""];
        return Err(cf.refuse(&text.concat()));
    };
    match main.zones.add_dict(cf, name, bytes) {
        Some(true) => Ok(()),
        Some(false) => {
            let quoted = [b"\"".as_slice(), name, b"\""].concat();
            let text =
                [b"lua_shared_dict ".as_slice(), &quoted, b" is already defined as ", &quoted];
            Err(cf.refuse(&text.concat()))
        }
        None => Err(ConfError::Logged),
    }
}

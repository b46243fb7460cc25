//! The files that a pattern of the configuration names, as nginx's `include` finds them.

use std::mem::zeroed;

use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::core::strings;
use crate::nginx::sys::{ngx_close_glob, ngx_glob_t, ngx_open_glob, ngx_read_glob, ngx_str_t};

/// The files that match `pattern`, an absolute path, in the order of their names; none is no error.
pub fn matches(cf: Conf, pattern: &[u8]) -> Result<Vec<Vec<u8>>, ConfError> {
    let pattern = cf.pool()?.copy_str(pattern)?;
    let mut names = Vec::new();
    // SAFETY: all zero is a valid ngx_glob_t; `copy_str` ends the pattern with a NUL, and the
    // parser's log is live. What was opened is read to its end, and closed once, after its names
    // have been copied.
    unsafe {
        let mut glob: ngx_glob_t = zeroed();
        glob.pattern = pattern.data;
        glob.log = cf.get().log;
        glob.test = 1;
        if ngx_open_glob(&mut glob) != 0 {
            let text = [b"glob() \"".as_slice(), strings::bytes(pattern), b"\" failed"].concat();
            return Err(cf.refuse(&text));
        }
        let mut name: ngx_str_t = zeroed();
        while ngx_read_glob(&mut glob, &mut name) == 0 {
            names.push(strings::bytes(name).to_vec());
        }
        ngx_close_glob(&mut glob);
    }
    Ok(names)
}

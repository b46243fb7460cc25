//! One value of a directive, read by nginx's own parsers, with nginx's own error texts.

use std::ffi::c_void;

use crate::nginx::conf::{Conf, ConfError, ConfResult};
use crate::nginx::sys::{
    ngx_command_t, ngx_conf_set_msec_slot, ngx_conf_set_num_slot, ngx_conf_set_size_slot,
};

type Slot = unsafe extern "C" fn(
    *mut crate::nginx::sys::ngx_conf_t,
    *mut ngx_command_t,
    *mut c_void,
) -> *mut std::ffi::c_char;

/// `NGX_CONF_UNSET`, in the word that nginx's slot functions fill.
const UNSET: isize = -1;

/// Lets one of nginx's slot functions read the directive's value into a word of ours.
fn read(conf: Conf, slot: Slot) -> Result<isize, ConfError> {
    let mut word = UNSET;
    let mut command = ngx_command_t::empty();
    let word_pointer: *mut c_void = (&raw mut word).cast();
    // SAFETY: a slot function writes one word at `conf + offset`, here ours at offset 0; nginx
    // reads nothing else of the command but its offset and post.
    let result = unsafe { slot(conf.as_ptr(), &mut command, word_pointer) };
    if result.is_null() {
        return Ok(word);
    }
    if result == crate::nginx::conf::CONF_ERROR {
        return Err(ConfError::Logged);
    }
    // SAFETY: nginx gives static texts.
    Err(ConfError::Directive(unsafe { std::ffi::CStr::from_ptr(result) }))
}

fn set<T>(
    conf: Conf,
    value: &mut Option<T>,
    slot: Slot,
    from: impl FnOnce(isize) -> T,
) -> ConfResult {
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(from(read(conf, slot)?));
    Ok(())
}

/// `on` or `off`.
pub fn set_flag(conf: Conf, value: &mut Option<bool>) -> ConfResult {
    // nginx names the directive in this error by the command: its word is the same.
    let text = conf.word(1);
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match text.to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => {
            let text = [
                b"invalid value \"".as_slice(),
                text,
                b"\" in \"",
                conf.word(0),
                b"\" directive, it must be \"on\" or \"off\"",
            ];
            return Err(conf.refuse(&text.concat()));
        }
    });
    Ok(())
}

/// A time, in milliseconds.
pub fn set_msec(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, ngx_conf_set_msec_slot, |word| word as usize)
}

/// A size in bytes.
pub fn set_size(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, ngx_conf_set_size_slot, |word| word as usize)
}

/// A number.
pub fn set_number(conf: Conf, value: &mut Option<usize>) -> ConfResult {
    set(conf, value, ngx_conf_set_num_slot, |word| word as usize)
}

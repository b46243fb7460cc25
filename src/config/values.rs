//! One value of a directive, read by nginx's own parsers, with nginx's own error texts.

#[cfg(ngx_feature = "http_ssl")]
use std::ffi::CStr;
use std::ffi::c_void;

use crate::nginx::conf::{Conf, ConfError, ConfResult};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::strings;
use crate::nginx::sys::{
    ngx_command_t, ngx_conf_set_msec_slot, ngx_conf_set_num_slot, ngx_conf_set_size_slot,
};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::sys::{ngx_conf_bitmask_t, ngx_conf_set_bitmask_slot, ngx_str_t};

type Slot = unsafe extern "C" fn(
    *mut crate::nginx::sys::ngx_conf_t,
    *mut ngx_command_t,
    *mut c_void,
) -> *mut std::ffi::c_char;

/// `NGX_CONF_UNSET`, in the word that nginx's slot functions fill.
const UNSET: isize = -1;

/// Lets one of nginx's slot functions read the directive's value into a word of ours.
fn read(conf: Conf, slot: Slot) -> Result<isize, ConfError> {
    read_over(conf, slot, UNSET, std::ptr::null_mut())
}

/// The same for a word that has a value, and for slot functions that read `post`.
fn read_over(
    conf: Conf,
    slot: Slot,
    mut word: isize,
    post: *mut c_void,
) -> Result<isize, ConfError> {
    let mut command = ngx_command_t::empty();
    command.post = post;
    let word_pointer: *mut c_void = (&raw mut word).cast();
    // SAFETY: a slot function writes one word at `conf + offset`, here ours at offset 0; nginx
    // reads nothing else of the command but its offset and post, which is what the slot wants.
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

/// A text as it is written.
pub fn set_text(conf: Conf, value: &mut Option<Vec<u8>>) -> ConfResult {
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(conf.word(1).to_vec());
    Ok(())
}

/// Bits by their `names`, added to those in `before`.
#[cfg(ngx_feature = "http_ssl")]
pub fn read_bits(conf: Conf, before: usize, names: &[(&CStr, u32)]) -> Result<usize, ConfError> {
    let end = ngx_conf_bitmask_t { name: ngx_str_t::empty(), mask: 0 };
    let mut masks: Vec<ngx_conf_bitmask_t> = names
        .iter()
        .map(|(name, bit)| ngx_conf_bitmask_t {
            name: strings::borrowed(name.to_bytes()),
            mask: *bit as usize,
        })
        .collect();
    masks.push(end);
    let post = masks.as_mut_ptr().cast();
    read_over(conf, ngx_conf_set_bitmask_slot, before as isize, post).map(|word| word as usize)
}

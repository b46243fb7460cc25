//! One value of a directive, read by nginx's own slot functions, with their error texts.

use std::ffi::{CStr, c_char, c_void};

use crate::nginx::core::conf::{CONF_ERROR, Conf, ConfError};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::core::strings;
use crate::nginx::sys::{
    NGX_CONF_UNSET, ngx_command_t, ngx_conf_set_msec_slot, ngx_conf_set_num_slot,
    ngx_conf_set_size_slot, ngx_conf_t,
};
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::sys::{ngx_conf_bitmask_t, ngx_conf_set_bitmask_slot, ngx_str_t};

type SlotFunction =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// `NGX_CONF_UNSET`, as nginx's slot functions expect it.
const UNSET: isize = NGX_CONF_UNSET as isize;

/// A time, in milliseconds.
pub fn msec(conf: Conf) -> Result<usize, ConfError> {
    read(conf, ngx_conf_set_msec_slot)
}

/// A size in bytes.
pub fn size(conf: Conf) -> Result<usize, ConfError> {
    read(conf, ngx_conf_set_size_slot)
}

/// A number.
pub fn number(conf: Conf) -> Result<usize, ConfError> {
    read(conf, ngx_conf_set_num_slot)
}

fn read(conf: Conf, slot: SlotFunction) -> Result<usize, ConfError> {
    let mut word = UNSET;
    // SAFETY: none of these slot functions reads `post`.
    unsafe { fill(conf, slot, &mut word, std::ptr::null_mut()) }?;
    Ok(word as usize)
}

/// Bits by their `names`, added to those in `before`.
#[cfg(ngx_feature = "http_ssl")]
pub fn bits(conf: Conf, before: usize, names: &[(&CStr, u32)]) -> Result<usize, ConfError> {
    let end = ngx_conf_bitmask_t { name: ngx_str_t::empty(), mask: 0 };
    let mut masks: Vec<ngx_conf_bitmask_t> = names
        .iter()
        .map(|(name, bit)| ngx_conf_bitmask_t {
            name: strings::borrowed(name.to_bytes()),
            mask: *bit as usize,
        })
        .collect();
    masks.push(end);
    let mut word = before as isize;
    // SAFETY: the masks end in an empty one, as this slot function wants them in `post`.
    unsafe { fill(conf, ngx_conf_set_bitmask_slot, &mut word, masks.as_mut_ptr().cast()) }?;
    Ok(word as usize)
}

/// Lets one of nginx's slot functions read the directive's value into `word`.
///
/// # Safety
/// `post` must be what `slot` expects in the command's `post`.
unsafe fn fill(
    conf: Conf,
    slot: SlotFunction,
    word: &mut isize,
    post: *mut c_void,
) -> Result<(), ConfError> {
    let mut command = ngx_command_t::empty();
    command.post = post;
    // SAFETY: a slot function writes one word at `conf + offset`, here ours at offset 0; nginx
    // reads nothing else of the command but its offset and post.
    let result = unsafe { slot(conf.as_ptr(), &mut command, std::ptr::from_mut(word).cast()) };
    if result.is_null() {
        return Ok(());
    }
    if result == CONF_ERROR {
        return Err(ConfError::Logged);
    }
    // SAFETY: nginx gives static texts.
    Err(ConfError::Directive(unsafe { CStr::from_ptr(result) }))
}

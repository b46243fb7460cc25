//! nginx's own MD5.

use std::mem::MaybeUninit;

use super::sys::{ngx_md5_final, ngx_md5_init, ngx_md5_t, ngx_md5_update};

pub fn md5(src: &[u8]) -> [u8; 16] {
    let mut state = MaybeUninit::<ngx_md5_t>::uninit();
    let mut digest = [0; 16];
    // SAFETY: init fills the state; update reads as many bytes as it is told of; final writes 16.
    unsafe {
        ngx_md5_init(state.as_mut_ptr());
        ngx_md5_update(state.as_mut_ptr(), src.as_ptr().cast(), src.len());
        ngx_md5_final(digest.as_mut_ptr(), state.as_mut_ptr());
    }
    digest
}

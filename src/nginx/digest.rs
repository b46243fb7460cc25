//! nginx's own MD5 and SHA-1.

use std::mem::MaybeUninit;

use super::sys::{
    ngx_md5_final, ngx_md5_init, ngx_md5_t, ngx_md5_update, ngx_sha1_final, ngx_sha1_init,
    ngx_sha1_t, ngx_sha1_update,
};

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

pub fn sha1(src: &[u8]) -> [u8; 20] {
    let mut state = MaybeUninit::<ngx_sha1_t>::uninit();
    let mut digest = [0; 20];
    // SAFETY: as for MD5; final writes 20.
    unsafe {
        ngx_sha1_init(state.as_mut_ptr());
        ngx_sha1_update(state.as_mut_ptr(), src.as_ptr().cast(), src.len());
        ngx_sha1_final(digest.as_mut_ptr(), state.as_mut_ptr());
    }
    digest
}

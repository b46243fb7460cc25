//! Writing the secrets of a context's connections to a file, for tools that decrypt recorded
//! traffic (the format of `SSLKEYLOGFILE`).

#![allow(unsafe_code, reason = "OpenSSL calls what is here")]

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::{self, NonNull, null_mut};

use codec::fallible;
use export::callback;

use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::core::log::Shown;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::sys::{
    CRYPTO_EX_INDEX_SSL_CTX, CRYPTO_get_ex_new_index, SSL, SSL_CTX, SSL_CTX_get_ex_data,
    SSL_CTX_set_ex_data, SSL_CTX_set_keylog_callback, SSL_get_SSL_CTX,
};
use crate::own_thread;

own_thread! {
    /// The index of a context's file in OpenSSL's data; negative before it is registered.
    static SLOT: Cell<c_int> = Cell::new(-1);
}

/// A context's file. Dropping it closes the file; connections that still use the context then write
/// nothing.
pub struct KeyLog {
    context: NonNull<SSL_CTX>,
    /// OpenSSL keeps a pointer to it.
    _file: Box<File>,
}

impl KeyLog {
    /// Writes the secrets of the context's connections to the end of the file with this absolute name,
    /// which is made for its owner only. What goes wrong is logged at `[emerg]`.
    ///
    /// # Safety
    /// `context` must live longer than the value.
    pub unsafe fn new(
        context: NonNull<SSL_CTX>,
        cf: Conf,
        name: &[u8],
    ) -> Result<KeyLog, ConfError> {
        let slot = slot()?;
        let file = Box::new(open(cf, name)?);
        let data = ptr::from_ref::<File>(&file).cast_mut().cast();
        // SAFETY: a live context; the file stays in its place until the value is dropped.
        unsafe {
            if SSL_CTX_set_ex_data(context.as_ptr(), slot, data) == 0 {
                return Err(OutOfMemory.into());
            }
            SSL_CTX_set_keylog_callback(context.as_ptr(), Some(write_line));
        }
        Ok(KeyLog { context, _file: file })
    }
}

impl Drop for KeyLog {
    fn drop(&mut self) {
        // SAFETY: the context lives, `new`'s contract; the index is registered.
        unsafe {
            SSL_CTX_set_keylog_callback(self.context.as_ptr(), None);
            SSL_CTX_set_ex_data(self.context.as_ptr(), SLOT.get(), null_mut());
        }
    }
}

fn open(cf: Conf, name: &[u8]) -> Result<File, ConfError> {
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).open(OsStr::from_bytes(name));
    file.map_err(|error| {
        let text = fallible::text(format_args!("open() \"{}\" failed", Shown(name)));
        let errno = error.raw_os_error().unwrap_or(0);
        cf.parser_log().write_errno(Level::Emerg, errno, text.as_bytes());
        ConfError::Logged
    })
}

/// The index, registered once per process.
fn slot() -> Result<c_int, OutOfMemory> {
    if SLOT.get() < 0 {
        // SAFETY: no callbacks, no data.
        SLOT.set(unsafe {
            let kind = CRYPTO_EX_INDEX_SSL_CTX as c_int;
            CRYPTO_get_ex_new_index(kind, 0, null_mut(), None, None, None)
        });
    }
    if SLOT.get() < 0 { Err(OutOfMemory) } else { Ok(SLOT.get()) }
}

/// Writes a secret as one line. An error only loses the line, not the connection.
///
/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn write_line(ssl: *const SSL, line: *const c_char) {
    // SAFETY: OpenSSL passes a live connection and a C string; its context keeps the file.
    let (file, line) = unsafe {
        let file = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), SLOT.get());
        (file.cast::<File>().as_ref(), CStr::from_ptr(line).to_bytes())
    };
    // One call, so that workers do not write into each other's lines.
    if let (Some(mut file), Ok(line)) = (file, fallible::concat(&[line, b"\n"])) {
        let _ = file.write(&line);
    }
}

//! The system's certificate authorities. A file of them takes milliseconds to read, and a megabyte:
//! so each process reads it when one of its connections first verifies a server by it.

use std::cell::OnceCell;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::ptr::null;

use super::clear_errors;
use codec::fallible::{self, OutOfMemory};

use super::objects::{Owned, Result, Store};
use crate::nginx::sys::{
    X509_STORE_load_locations, X509_get_default_cert_dir, X509_get_default_cert_dir_env,
    X509_get_default_cert_file, X509_get_default_cert_file_env,
};

/// The system's authorities, where OpenSSL looks for them by default.
pub struct SystemStore {
    file: CString,
    /// Its certificates are read one by one, when they are needed.
    folder: CString,
    store: OnceCell<Store>,
}

impl SystemStore {
    /// Asks OpenSSL now where they are: nginx's workers do not have the environment that nginx was
    /// started with.
    pub fn new() -> std::result::Result<SystemStore, OutOfMemory> {
        // SAFETY: no arguments; OpenSSL gives static strings.
        let [file, folder] = unsafe {
            [
                (X509_get_default_cert_file_env(), X509_get_default_cert_file()),
                (X509_get_default_cert_dir_env(), X509_get_default_cert_dir()),
            ]
            .map(|(variable, usual)| named(CStr::from_ptr(variable), CStr::from_ptr(usual)))
        };
        Ok(SystemStore { file: file?, folder: folder?, store: OnceCell::new() })
    }

    /// The store; the first call reads the file. `None` for want of memory: then nobody is trusted.
    pub fn get(&self) -> Option<&Store> {
        if self.store.get().is_none() {
            let _ = self.store.set(self.read().ok()?);
        }
        self.store.get()
    }

    /// A file or folder that is not there, or cannot be read, adds no authority.
    fn read(&self) -> Result<Store> {
        let store = Store::new()?;
        for (file, folder) in [(self.file.as_ptr(), null()), (null(), self.folder.as_ptr())] {
            // SAFETY: our store, and C strings that live longer than the call.
            if unsafe { X509_STORE_load_locations(store.as_ptr(), file, folder) } == 0 {
                clear_errors();
            }
        }
        Ok(store)
    }
}

/// The value of an environment variable, or what is usual.
fn named(variable: &CStr, usual: &CStr) -> std::result::Result<CString, OutOfMemory> {
    match std::env::var_os(OsStr::from_bytes(variable.to_bytes())) {
        Some(set) => fallible::c_string(set.as_bytes()),
        None => fallible::c_string(usual.to_bytes()),
    }
}

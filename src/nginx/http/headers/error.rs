//! Why a header could not be set.

use crate::nginx::core::pool::OutOfMemory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The value is not valid for this header: not a host, not a length.
    BadValue,
    OutOfMemory,
}

impl From<OutOfMemory> for HeaderError {
    fn from(_: OutOfMemory) -> HeaderError {
        HeaderError::OutOfMemory
    }
}

impl HeaderError {
    /// The text for the Lua caller.
    pub fn message(self) -> &'static std::ffi::CStr {
        match self {
            HeaderError::BadValue => c"failed to set header",
            HeaderError::OutOfMemory => c"no memory",
        }
    }
}

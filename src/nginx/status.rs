//! nginx's return codes: `NGX_OK` and its kin, or an HTTP status, in one `ngx_int_t`.

use super::sys::ngx_int_t;

/// What a handler returns to nginx: one of the constants below, or an HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Rc(pub ngx_int_t);

impl Rc {
    pub const OK: Rc = Rc(0);
    pub const ERROR: Rc = Rc(-1);
    pub const AGAIN: Rc = Rc(-2);
    pub const BUSY: Rc = Rc(-3);
    pub const DONE: Rc = Rc(-4);
    pub const DECLINED: Rc = Rc(-5);
    pub const HTTP_INTERNAL_SERVER_ERROR: Rc = Rc(500);

    /// Whether this is an error or a special response: 300 and above, or `NGX_ERROR`.
    pub fn is_failure(self) -> bool {
        self == Rc::ERROR || self.is_special_response()
    }

    /// Whether nginx makes a response of its own for this status (300 and above).
    pub fn is_special_response(self) -> bool {
        self.0 >= 300
    }
}

//! nginx's return codes: `NGX_OK` and its kin, or an HTTP status, in one `ngx_int_t`.

use crate::nginx::sys::{NGX_AGAIN, NGX_ERROR, NGX_OK, ngx_int_t};

/// What a handler returns to nginx: one of the constants below, or an HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Status(pub ngx_int_t);

impl Status {
    pub const OK: Status = Status(NGX_OK);
    pub const ERROR: Status = Status(NGX_ERROR);
    pub const AGAIN: Status = Status(NGX_AGAIN);
    pub const BUSY: Status = Status(-3);
    pub const DONE: Status = Status(-4);
    pub const DECLINED: Status = Status(-5);
    pub const HTTP_OK: Status = Status(200);
    pub const HTTP_BAD_REQUEST: Status = Status(400);
    pub const HTTP_NOT_ALLOWED: Status = Status(405);
    pub const HTTP_CONFLICT: Status = Status(409);
    pub const HTTP_INTERNAL_SERVER_ERROR: Status = Status(500);
    pub const HTTP_SERVICE_UNAVAILABLE: Status = Status(503);

    /// Whether this is an error or a special response: 300 and above, or `NGX_ERROR`.
    pub fn is_failure(self) -> bool {
        self != Status::OK && (self == Status::ERROR || self.is_special_response())
    }

    /// Whether nginx makes a response of its own for this status (300 and above).
    pub fn is_special_response(self) -> bool {
        self.0 >= 300
    }
}

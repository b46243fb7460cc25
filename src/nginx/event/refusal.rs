//! Why no connection could be made: all `worker_connections` are in use, or the system refused.

use crate::nginx::sys::{ngx_cycle, ngx_errno};

/// nginx has no connection left: all of `worker_connections` are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoConnection;

impl NoConnection {
    /// What nginx logs in that case.
    pub const TEXT: &'static str = "worker_connections are not enough";
}

/// Why a connect failed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    NoConnection,
    /// The system's error number; 0 if nginx refused, and has logged why.
    System(i32),
}

impl Refusal {
    /// The reason why nginx has just failed to make a connection. If no connection was left, the
    /// system's last error means nothing.
    pub fn of_last() -> Refusal {
        // SAFETY: ngx_cycle is the running cycle.
        let none_left = unsafe { (*ngx_cycle).free_connections.is_null() };
        if none_left { Refusal::NoConnection } else { Refusal::System(ngx_errno()) }
    }
}

impl From<NoConnection> for Refusal {
    fn from(_: NoConnection) -> Refusal {
        Refusal::NoConnection
    }
}

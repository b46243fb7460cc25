//! What runs Lua code for a request: its context, its tasks, the scheduler, its output.

pub mod client_user;
pub mod client_watch;
pub mod co_ctx;
pub mod context;
pub mod counters;
pub mod ctx;
pub mod ends;
pub mod fake_request;
pub mod filter;
pub mod filter_run;
#[cfg(ngx_feature = "http_ssl")]
pub mod handshake;
pub mod keyed;
pub mod log_description;
pub mod output;
pub mod pending_log;
pub mod profile;
pub mod resources;
pub mod scheduler;
pub mod task;
pub mod traceback;
pub mod vm;
pub mod watch;

pub use crate::config::{Phase, PhaseSet};
pub use context::Context;
pub use keyed::{Keyed, ThreadKeyed};
pub use resources::{Hold, Resource};
pub use task::{Operation, Role, Task, TaskStatus};

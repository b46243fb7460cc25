//! The scheduler: runs tasks, decides what each yield means, and what happens when a task ends.
//!
//! Event handlers only call [`wake`]; which task runs next is decided here alone.

mod abort;
mod ended;
mod events;
mod run;
mod turns;

pub use ended::{forget_zombie, kill};
pub use events::{fail, fail_task, listen_for_write, on_event, push_no_memory, wake, wake_with};
pub use run::run;
pub use turns::{finalize, resume_woken, settle, start_fake};

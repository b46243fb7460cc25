//! The scheduler: runs tasks, decides what each yield means, and what happens when a task ends.
//!
//! Event handlers only call [`wake`]; which task runs next is decided here alone.

mod abort;
mod below;
mod ended;
mod events;
mod later;
mod run;
mod turns;

pub use abort::append_error_text;
pub use below::{can_run_below, can_spawn_below, resume_below, spawn_below};
pub use ended::{forget_zombie, kill};
pub use events::{fail, fail_task, listen_for_write, on_event, push_no_memory, wake, wake_with};
pub use later::wake_later;
pub use run::{run, start, take_over};
pub use turns::{finalize, resume_woken, settle, start_fake};

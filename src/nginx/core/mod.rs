//! nginx's core: memory, strings, logs, its parser, processes, time.

pub mod address;
pub mod allocator;
pub(in crate::nginx) mod bits;
pub mod buf;
pub mod c_stack;
pub mod chain;
pub(in crate::nginx) mod chain_limit;
pub mod child;
pub mod child_exec;
#[allow(clippy::disallowed_methods, reason = "what a configuration holds, when nginx reads it")]
pub mod conf;
#[allow(clippy::disallowed_methods, reason = "what a configuration holds, when nginx reads it")]
pub mod conf_file;
#[allow(clippy::disallowed_methods, reason = "what a configuration holds, when nginx reads it")]
pub mod conf_value;
pub mod cycle;
pub mod executable_memory;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod frames;
pub mod free_list;
pub mod function;
#[allow(clippy::disallowed_methods, reason = "what a configuration holds, when nginx reads it")]
pub mod glob;
pub mod guard;
pub mod host;
pub mod json_log;
pub mod lend;
pub mod loaded;
pub mod log;
pub mod log_capture;
pub mod memory_reserve;
pub(in crate::nginx) mod module;
#[allow(clippy::disallowed_methods, reason = "the paths of objects, at start")]
pub mod object;
pub mod option_cell;
pub mod own_thread;
pub mod pcre2;
mod per_thread;
pub mod pool;
pub mod prefetch;
pub mod process;
pub mod rc_cell;
pub mod shared_memory;
pub mod status;
pub mod strings;
#[cfg(ngx_feature = "threads")]
pub mod thread_pool;
pub mod time;
pub mod watchdog;
pub mod worker;

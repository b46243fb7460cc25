//! The boundary to nginx: the only room that touches nginx's own structures.
//!
//! Everything above deals in the small wrappers declared here. A wrapper is built from a pointer
//! that nginx handed over (an `unsafe` step that names nginx as the guarantor); its methods are then
//! safe to call for as long as the object's pool lives. SAFETY.md states the host-wide invariants
//! that all of this rests on: one thread, pool lifetimes, reload.

pub mod address;
mod bits;
pub mod body;
pub mod callback;
pub mod chain;
pub mod child;
pub mod cleanup;
pub mod complex_value;
pub mod conf;
pub mod conf_value;
pub mod configuration;
pub mod connection;
pub mod cycle;
pub mod descriptor;
pub mod directive;
pub mod downstream;
pub mod event;
pub mod exec;
pub mod executable_memory;
pub mod exit_watcher;
pub mod fake;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod filters;
pub mod guard;
mod header_change;
mod header_error;
mod header_list;
mod header_values;
pub mod headers_in;
pub mod headers_out;
pub mod hooks;
pub mod log;
pub mod log_capture;
pub mod log_context;
mod module;
pub mod ndk;
pub mod output;
pub mod own_thread;
pub mod peer;
pub mod pool;
pub mod process;
pub mod redirect;
pub mod request;
pub mod request_body;
pub mod request_body_edit;
pub mod request_line;
pub mod resolver;
pub mod response_headers;
pub mod response_status;
pub mod script_code;
pub mod shared_memory;
pub mod status;
pub mod stream;
pub mod strings;
pub mod subrequest;
pub mod subrequest_headers;
pub mod sys;
#[cfg(ngx_feature = "threads")]
pub mod thread_pool;
pub mod time;
#[cfg(ngx_feature = "http_ssl")]
pub mod tls;
pub mod udp;
pub mod upstream;
pub mod variable;
pub mod worker;

pub use chain::Chain;
pub use guard::guard;
pub use header_error::HeaderError;
pub use header_list::Node as Header;
pub use log::Level;
pub use module::module;
pub use request::Request;
pub use status::Rc;

//! The module's configuration: the table of directives, the values as written, the values in
//! force.

pub mod block;
mod capture_error_log;
pub mod check;
pub mod code;
mod directive;
mod directive_code;
pub mod directives;
pub mod error_log_format;
pub mod installers;
pub mod location;
pub mod log_level;
pub mod main;
pub mod metrics;
pub mod phases;
pub mod pool_rows;
pub mod server;
mod setters;
pub mod shared_dict;
pub mod system_resolver;
#[cfg(ngx_feature = "http_ssl")]
pub mod tls;
pub mod values;
pub mod worker_events;

use crate::nginx::http::phases::HttpPhase;

pub use code::Script;
pub use location::{Location, LocationConf};
pub use main::MainConf;
pub use phases::{Phase, PhaseSet};
pub use server::ServerConf;

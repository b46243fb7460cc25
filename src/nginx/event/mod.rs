//! nginx's events: timers, connections, datagrams, names, TLS.

pub mod alarm;
pub mod descriptor;
pub mod doorbell;
pub mod event_timer;
pub mod exit_watcher;
mod name_servers;
pub mod peer;
mod refusal;
pub mod resolver;
pub mod rounds;
pub mod server_log;
pub mod stream;
pub mod system_names;
#[cfg(ngx_feature = "http_ssl")]
pub mod tls;
pub mod udp;

pub use refusal::{NoConnection, Refusal};

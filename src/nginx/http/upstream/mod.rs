//! Load balancing of an `upstream` block: who is asked for each try's server, and the connections
//! that rest between requests.
//!
//! A [`Balancer`] names a server, or none: then nginx's own round robin over the block's `server`
//! lines goes on, whose data are kept with each request for that. What a request's tries have in
//! common lives in its pool; of requests, the configuration holds nothing.

mod default_keepalive;
mod hold;
mod idle;
mod keepalive;
#[cfg(not(ngx_feature = "http_ssl"))]
mod no_tls;
mod peer;
mod placeholder;
mod record;
#[cfg(ngx_feature = "http_ssl")]
mod tls;
mod tries;

pub use idle::IdleConnections;
pub use keepalive::Keepalive;
pub use peer::{BindError, Timeouts, of};
pub use record::Peer;
pub use tries::{Balancer, Chosen, install};

//! nginx's http: requests and what belongs to them, from the header to the filters.

pub mod callback;
pub mod cleanup;
pub mod client;
pub mod client_socket;
pub mod complex_value;
pub mod configuration;
pub mod fake;
pub mod filters;
pub mod framing;
pub(in crate::nginx) mod headers;
pub mod headers_in;
pub mod headers_out;
pub mod log_context;
pub mod ndk;
pub mod pending;
pub mod phases;
pub mod redirect;
pub mod request;
pub mod request_body;
pub mod request_line;
pub mod response_status;
pub mod script_code;
pub mod send;
pub mod subrequest;
pub mod subrequest_headers;
pub mod upstream;
pub mod variable;

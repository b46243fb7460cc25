//! What the client is told to do.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

/// The version of HTTP.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    H1,
    H2,
    H3,
}

/// A connection and its requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub protocol: Protocol,
    pub address: SocketAddr,
    /// TLS below HTTP/1.1 or HTTP/2; HTTP/3 always has it.
    #[serde(default)]
    pub tls: bool,
    /// The server's name, in the handshake and in the requests.
    #[serde(default = "localhost")]
    pub name: String,
    /// How many bytes of a response may be on their way before the client has read them.
    pub window: Option<u32>,
    /// How many requests may be under way at a time.
    #[serde(default = "one")]
    pub parallel: usize,
    /// How many milliseconds the connection stays open at the end.
    #[serde(default)]
    pub linger: u64,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "patience")]
    pub patience: u64,
    pub requests: Vec<Request>,
}

/// A request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The pieces of the body. Its length is told by a `content-length` among the headers, or not at
    /// all.
    #[serde(default)]
    pub body: Vec<String>,
    /// Milliseconds before each piece but the first.
    #[serde(default)]
    pub pause: u64,
    /// Milliseconds before each read of the response's body.
    #[serde(default)]
    pub reluctance: u64,
    /// Whether the response's body is read only once the standard input has ended.
    #[serde(default)]
    pub hold: bool,
    /// When the client loses interest; without it, it reads the whole response.
    pub stop: Option<Stop>,
    /// Whether it then leaves the stream open, instead of resetting it. (In HTTP/1.1, a reset closes the
    /// connection.)
    #[serde(default)]
    pub leave: bool,
}

/// When the client loses interest in a response.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// After the header.
    Header,
    /// After the first data.
    Data,
    /// At the end of the standard input.
    Told,
}

impl Script {
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience)
    }

    /// The header of `request`, with the server's name where this protocol has it.
    pub fn header(&self, request: &Request) -> Result<http::Request<()>> {
        let mut header = http::Request::builder().method(request.method.as_str());
        header = match self.protocol {
            Protocol::H1 => header.uri(&request.path).header("Host", &self.name),
            Protocol::H2 | Protocol::H3 => {
                let scheme =
                    if self.tls || self.protocol == Protocol::H3 { "https" } else { "http" };
                header.uri(format!("{scheme}://{}{}", self.name, request.path))
            }
        };
        for (name, value) in &request.headers {
            header = header.header(name, value);
        }
        Ok(header.body(())?)
    }
}

fn localhost() -> String {
    "localhost".to_string()
}

fn one() -> usize {
    1
}

fn patience() -> u64 {
    20_000
}

fn get() -> String {
    "GET".to_string()
}

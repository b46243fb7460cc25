//! The HTTP client of `nginx-tests/`: one connection with HTTP/1.1, HTTP/2 or HTTP/3.
//!
//! It reads what to do, as a line of JSON, from its standard input (`script.rs`) and writes what came back as
//! JSON to its standard output: `{"certificate": …, "answers": […], "error": …}`, an answer for each
//! request, in their order.

// Here a panic ends a test's client, not a request.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

mod exchange;
mod quic;
mod script;
mod tcp;
mod tls;

use anyhow::Result;
use serde::Serialize;

use exchange::{Answer, perform};
use script::{Protocol, Script};

/// What came back on the connection.
#[derive(Default, Serialize)]
struct Outcome {
    /// The server's certificate in DER, in hexadecimal digits; none without TLS.
    certificate: Option<String>,
    answers: Vec<Answer>,
    /// Why there is no connection.
    error: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let script: Script = serde_json::from_str(&line).expect("a script in JSON");
    let outcome = talk(&script).await.unwrap_or_else(|error| Outcome {
        error: Some(format!("{error:#}")),
        ..Outcome::default()
    });
    println!("{}", serde_json::to_string(&outcome).expect("JSON of plain values"));
}

async fn talk(script: &Script) -> Result<Outcome> {
    match script.protocol {
        Protocol::H1 | Protocol::H2 => {
            let connection = tcp::Connection::open(script).await?;
            let answers = perform(&connection, script).await;
            Ok(Outcome { certificate: connection.certificate, answers, error: None })
        }
        Protocol::H3 => {
            let connection = quic::Connection::open(script).await?;
            let answers = perform(&connection, script).await;
            let certificate = connection.certificate();
            connection.close().await;
            Ok(Outcome { certificate, answers, error: None })
        }
    }
}

//! The demonstration's HTTP client: one request, one answer, and a connection that it closes
//! itself as soon as the answer is complete, as browsers and curl do.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: String,
    pub body: String,
}

/// Sends `GET path` and reads its answer; `None` where it is not complete after `patience`.
/// The connection is closed in either case.
pub fn get(address: SocketAddr, path: &str, patience: Duration) -> Result<Option<Answer>> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("{address}"))?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => bail!("the server closed the connection before the end of its answer"),
            Ok(n) => received.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("reading the answer"),
        }
        if let Some(answer) = complete(&String::from_utf8_lossy(&received)) {
            return Ok(Some(answer));
        }
    }
}

/// The answer in `received`, once all of it is there.
fn complete(received: &str) -> Option<Answer> {
    let (head, rest) = received.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split_once(' ')?.1.to_string();
    let body = match header(head, "Content-Length") {
        Some(length) => rest.get(..length.parse().ok()?)?.to_string(),
        None => dechunk(rest)?,
    };
    Some(Answer { status, body })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn dechunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, data) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = data.get(..size)?;
        rest = data.get(size..)?.strip_prefix("\r\n")?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_answer_is_complete_with_its_last_chunk() {
        let whole =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let answer = Answer { status: "200 OK".into(), body: "abcd".into() };
        assert_eq!(complete(whole), Some(answer));
        for end in 0..whole.len() {
            assert_eq!(complete(&whole[..end]), None, "after {end} bytes");
        }
    }

    #[test]
    fn a_content_length_is_counted() {
        let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(complete(&format!("{head}n")), None);
        assert_eq!(complete(&format!("{head}no")).unwrap().body, "no");
    }
}

//! The HTTP client of soak and bench: keep-alive connections, with answers delimited by their
//! framing alone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server closes the connection after it.
    pub last: bool,
}

/// One connection, and the received bytes that have not been used yet.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("sending a request")
    }

    /// Reads one answer; what follows it stays for the next call.
    pub fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, len)) = parse(&self.received, false)? {
                self.received.drain(..len);
                return Ok(answer);
            }
            if !self.more()? {
                let rest = std::mem::take(&mut self.received);
                let answer = parse(&rest, true)?;
                return answer.map(|(answer, _)| answer).context("the server closed");
            }
        }
    }

    /// Reads up to the server's close: what there is.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.received))
    }

    /// Waits for more from the server; false where it has closed.
    pub fn more(&mut self) -> Result<bool> {
        let mut buffer = [0; 8192];
        let n = self.stream.read(&mut buffer).context("reading an answer")?;
        self.received.extend_from_slice(buffer.get(..n).unwrap_or_default());
        Ok(n > 0)
    }
}

/// The answer at the start of `bytes` and its length, once all of it is there; `closed`: the
/// server has closed the connection.
fn parse(bytes: &[u8], closed: bool) -> Result<Option<(Answer, usize)>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = bytes.split_at(end + 4);
    let text = String::from_utf8_lossy(head);
    let status = text.get(9..12).and_then(|code| code.parse().ok());
    let Some(status) = status else { bail!("no status line in {text:?}") };
    let last = header(&text, "connection") == Some("close") || text.starts_with("HTTP/1.0");
    let framed = match (header(&text, "content-length"), header(&text, "transfer-encoding")) {
        (Some(_), Some(_)) => bail!("two framings in {text:?}"),
        (Some(length), None) => {
            let length: usize = length.parse().with_context(|| format!("in {text:?}"))?;
            body.get(..length).map(|body| (body.to_vec(), length))
        }
        (None, Some(_)) => dechunk(body)?,
        (None, None) if closed => Some((body.to_vec(), body.len())),
        (None, None) => None,
    };
    Ok(framed.map(|(body, len)| (Answer { status, body, last }, head.len() + len)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The chunked body at the start of `bytes` and how long it is there.
fn dechunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = find(rest, b"\r\n") else { return Ok(None) };
        let digits = String::from_utf8_lossy(rest.get(..line).unwrap_or_default()).into_owned();
        let size =
            usize::from_str_radix(&digits, 16).with_context(|| format!("chunk size {digits:?}"))?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else { return Ok(None) };
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(chunk.get(..size).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, last: bool) -> Answer {
        Answer { status, body: body.into(), last }
    }

    #[test]
    fn pipelined_answers_are_told_apart() {
        let one = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let two = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nConnection: close\r\n\r\nno";
        let both = format!("{one}{two}").into_bytes();
        assert_eq!(parse(&both, false).unwrap(), Some((answer(200, "abc", false), one.len())));
        let rest = &both[one.len()..];
        assert_eq!(parse(rest, false).unwrap(), Some((answer(404, "no", true), two.len())));
        for end in 0..one.len() {
            assert_eq!(parse(&both[..end], false).unwrap(), None, "after {end} bytes");
        }
    }

    #[test]
    fn an_answer_without_framing_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it";
        assert_eq!(parse(bytes, false).unwrap(), None);
        assert_eq!(parse(bytes, true).unwrap().unwrap().0, answer(200, "all of it", true));
    }

    #[test]
    fn two_framings_are_refused() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(parse(bytes, false).is_err());
    }
}

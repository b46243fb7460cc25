//! The mixture of requests: what each sends, and what must come back.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::client::{Answer, Connection};

/// One kind of request.
pub struct Kind {
    pub name: &'static str,
    /// How often it comes, beside the others.
    weight: usize,
    play: Play,
}

/// What the client does.
#[derive(Clone, Copy)]
enum Play {
    /// `GET path`, over a connection that is kept.
    Get(&'static str, u16, &'static str),
    /// The same in HTTP/1.0: the server closes.
    Http10(&'static str, u16, &'static str),
    /// Two requests at once.
    Pipeline(&'static str, u16, &'static str),
    /// A POST of that many bytes, in chunks or with a length.
    Post { path: &'static str, bytes: usize, chunked: bool, status: u16, body: &'static str },
    /// The request is sent, and the client leaves.
    Leave(&'static str),
    /// The client leaves when the answer has begun.
    LeaveInAnswer(&'static str),
    /// Half of a POST's body is sent, and the client leaves.
    LeaveInBody(&'static str),
    /// The header comes and no whole body: the server closes.
    Broken(&'static str),
}

/// An empty body stands for one that nginx makes.
const KINDS: &[Kind] = &[
    Kind { name: "say", weight: 10, play: Play::Get("/say", 200, "hello\n") },
    Kind {
        name: "all phases",
        weight: 8,
        play: Play::Get("/phases", 200, "set rewrite access filter\n"),
    },
    Kind { name: "chunks and flushes", weight: 4, play: Play::Get("/chunks", 200, "") },
    Kind { name: "capture", weight: 6, play: Play::Get("/capture", 200, "200 job 1\n") },
    Kind {
        name: "capture_multi",
        weight: 4,
        play: Play::Get("/capture-multi", 200, "job 1job 3500\n"),
    },
    Kind { name: "sleep", weight: 6, play: Play::Get("/sleep", 200, "woke\n") },
    Kind { name: "exec", weight: 5, play: Play::Get("/exec", 200, "a=1&a=b%20c\n") },
    Kind { name: "set_uri", weight: 3, play: Play::Get("/jump", 200, "hello\n") },
    Kind { name: "redirect", weight: 3, play: Play::Get("/redirect", 302, "") },
    Kind { name: "error", weight: 3, play: Play::Get("/error", 500, "") },
    Kind { name: "error after the header", weight: 2, play: Play::Broken("/late-error") },
    Kind { name: "error_page", weight: 3, play: Play::Get("/error-page", 503, "hello\n") },
    Kind { name: "exit", weight: 3, play: Play::Get("/missing-page", 404, "") },
    Kind { name: "timers", weight: 4, play: Play::Get("/timer", 200, "1\n") },
    Kind { name: "threads", weight: 4, play: Play::Get("/threads", 200, "12false\n") },
    Kind { name: "exit in a thread", weight: 2, play: Play::Get("/thread-exit", 200, "exit\n") },
    Kind { name: "coroutines", weight: 3, play: Play::Get("/coroutines", 200, "2false3\n") },
    Kind {
        name: "TLS",
        weight: 2,
        play: Play::Get("/tls", 200, "HTTP/1.1 200 OK certificate host mismatch\n"),
    },
    Kind { name: "semaphores", weight: 2, play: Play::Get("/semaphore", 200, "true timeout\n") },
    Kind {
        name: "args, regex, dictionary",
        weight: 5,
        play: Play::Get("/tables?word=foo&n=12", 200, "nfo0o00bcd\n"),
    },
    Kind { name: "eof and more work", weight: 4, play: Play::Get("/eof", 200, "accepted\n") },
    Kind { name: "HTTP/1.0", weight: 3, play: Play::Http10("/capture", 200, "200 job 1\n") },
    Kind { name: "pipelined", weight: 3, play: Play::Pipeline("/sleep", 200, "woke\n") },
    Kind {
        name: "body read",
        weight: 3,
        play: Play::Post { path: "/echo", bytes: 300, chunked: false, status: 200, body: "300\n" },
    },
    Kind {
        name: "body in a file",
        weight: 2,
        play: Play::Post { path: "/echo", bytes: 9000, chunked: true, status: 200, body: "file\n" },
    },
    Kind {
        name: "body read first",
        weight: 2,
        play: Play::Post { path: "/echo-first", bytes: 1, chunked: true, status: 200, body: "b" },
    },
    Kind {
        name: "body unread",
        weight: 3,
        play: Play::Post {
            path: "/unread",
            bytes: 3000,
            chunked: false,
            status: 200,
            body: "unread\n",
        },
    },
    Kind {
        name: "body refused",
        weight: 2,
        play: Play::Post { path: "/refused", bytes: 3000, chunked: true, status: 403, body: "" },
    },
    Kind { name: "left while waiting", weight: 3, play: Play::LeaveInAnswer("/watched") },
    Kind { name: "left with a handler", weight: 2, play: Play::LeaveInAnswer("/on-abort") },
    Kind { name: "left unnoticed", weight: 3, play: Play::Leave("/unwatched") },
    Kind { name: "left while reading", weight: 2, play: Play::Leave("/chunks") },
    Kind { name: "left in the body", weight: 2, play: Play::LeaveInBody("/echo") },
];

/// The kinds, each as often as its weight says.
pub fn deck() -> Vec<&'static Kind> {
    KINDS.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.weight)).collect()
}

impl Kind {
    /// Sends one, over the connection in `kept` where it can, and checks what comes back.
    pub fn play(&self, address: SocketAddr, kept: &mut Option<Connection>) -> Result<()> {
        self.attempt(address, kept).with_context(|| format!("\"{}\"", self.name))
    }

    fn attempt(&self, address: SocketAddr, kept: &mut Option<Connection>) -> Result<()> {
        match self.play {
            Play::Get(path, status, body) => {
                exchange(address, kept, &get(path, "1.1"), 1, |got| check(got, status, body))
            }
            Play::Pipeline(path, status, body) => {
                let request = get(path, "1.1");
                // Only a fresh connection is sure to live for two requests more.
                *kept = None;
                exchange(address, kept, &[&request[..], &request[..]].concat(), 2, |got| {
                    check(got, status, body)
                })
            }
            Play::Http10(path, status, body) => {
                let mut connection = Connection::open(address)?;
                connection.send(&get(path, "1.0"))?;
                check(&connection.answer()?, status, body)
            }
            Play::Post { path, bytes, chunked, status, body } => {
                exchange(address, kept, &post(path, bytes, chunked), 1, |got| {
                    check(got, status, body)
                })
            }
            Play::Leave(path) => Connection::open(address)?.send(&get(path, "1.1")),
            Play::LeaveInAnswer(path) => {
                let mut connection = Connection::open(address)?;
                connection.send(&get(path, "1.1"))?;
                match connection.more()? {
                    true => Ok(()),
                    false => bail!("the server closed before it answered"),
                }
            }
            Play::LeaveInBody(path) => {
                let request = post(path, 9000, false);
                Connection::open(address)?.send(request.get(..4500).unwrap_or_default())
            }
            Play::Broken(path) => {
                let mut connection = Connection::open(address)?;
                connection.send(&get(path, "1.1"))?;
                let text = String::from_utf8_lossy(&connection.rest()?).into_owned();
                match text.starts_with("HTTP/1.1 200 ") && !text.ends_with("\r\n0\r\n\r\n") {
                    true => Ok(()),
                    false => bail!("a whole answer came: {text:?}"),
                }
            }
        }
    }
}

/// Sends `request` and checks `answers` answers; keeps the connection where the server does.
fn exchange(
    address: SocketAddr,
    kept: &mut Option<Connection>,
    request: &[u8],
    answers: usize,
    check: impl Fn(&Answer) -> Result<()>,
) -> Result<()> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address)?,
    };
    connection.send(request)?;
    let mut last = false;
    for _ in 0..answers {
        let answer = connection.answer()?;
        check(&answer)?;
        last = answer.last;
    }
    if !last {
        *kept = Some(connection);
    }
    Ok(())
}

fn check(answer: &Answer, status: u16, body: &str) -> Result<()> {
    if answer.status == status && (body.is_empty() || answer.body == body.as_bytes()) {
        return Ok(());
    }
    bail!(
        "answered {} {:?}, not {status} {body:?}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    )
}

fn get(path: &str, version: &str) -> Vec<u8> {
    format!("GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn post(path: &str, bytes: usize, chunked: bool) -> Vec<u8> {
    let body = "b".repeat(bytes);
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n");
    match chunked {
        true => format!("{head}Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"),
        false => format!("{head}Content-Length: {bytes}\r\n\r\n{body}"),
    }
    .into_bytes()
}

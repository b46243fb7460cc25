//! The parts of a line of text for an error log: the place in Lua code, the traceback, and what
//! nginx puts in front.

/// Splits a text into what comes before its traceback, and the traceback.
pub fn split_traceback(text: &[u8]) -> (&[u8], &[u8]) {
    const HEAD: &[u8] = b"\nstack traceback:\n";
    match memchr::memmem::find(text, HEAD) {
        Some(at) => {
            let (before, behind) = text.split_at(at);
            (before, behind.get(HEAD.len()..).unwrap_or_default())
        }
        None => (text, b""),
    }
}

/// What the texts of errors that code has not caught begin with.
const ERRORS: [&[u8]; 4] = [
    b"lua entry thread aborted: ",
    b"lua user thread aborted: ",
    b"failed to run ",
    b"failed to load ",
];

/// The place of an error that ended code, `FILE:LINE`, in the text that is logged of it; empty
/// where it has none.
pub fn place_of_error(text: &[u8]) -> &[u8] {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_error = ERRORS.iter().any(|begin| line.starts_with(begin))
        || memchr::memmem::find(line, b"_by_lua error: ").is_some();
    if is_error { first_place(line) } else { b"" }
}

/// The place that `ngx.log` and `print` put before their text, `FILE:LINE: ` or
/// `FILE:LINE: NAME(): `, without the name.
pub fn place_of_caller(head: &[u8]) -> &[u8] {
    first_place(head)
}

/// What is before the first `:LINE: `, with the number, from the last `: ` on.
fn first_place(line: &[u8]) -> &[u8] {
    for at in memchr::memchr_iter(b':', line) {
        let behind = line.get(at + 1..).unwrap_or_default();
        let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && behind.get(digits..).is_some_and(|rest| rest.starts_with(b": ")) {
            let place = line.get(..at + 1 + digits).unwrap_or_default();
            let begin = memchr::memmem::rfind(place, b": ").map_or(0, |begin| begin + 2);
            return place.get(begin..).unwrap_or_default();
        }
    }
    b""
}

/// What nginx puts before a message: `DATE TIME [LEVEL] PID#TID: *CONNECTION `.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// 0 for none.
    pub connection: u64,
    pub message: &'a [u8],
}

/// Takes a line of nginx's apart; one that begins otherwise is a message.
pub fn parts(line: &[u8]) -> Parts<'_> {
    message_of(line).unwrap_or(Parts { connection: 0, message: line })
}

fn message_of(line: &[u8]) -> Option<Parts<'_>> {
    let at = memchr::memmem::find(line, b"] ")?;
    let rest = line.get(at + 2..)?;
    let (process, message) = rest.split_at(memchr::memmem::find(rest, b": ")? + 2);
    let is_process = process.iter().all(|byte| byte.is_ascii_digit() || b"#: ".contains(byte));
    if !is_process || !process.contains(&b'#') {
        return None;
    }
    let connection = message.strip_prefix(b"*").and_then(|behind| {
        let digits = behind.iter().position(|byte| *byte == b' ')?;
        let (number, message) = behind.split_at(digits);
        let connection = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some(Parts { connection, message: message.get(1..)? })
    });
    Some(connection.unwrap_or(Parts { connection: 0, message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracebacks_are_split_off() {
        assert_eq!(
            split_traceback(b"a\nstack traceback:\n\tb\n\tc"),
            (b"a".as_slice(), b"\tb\n\tc".as_slice())
        );
        assert_eq!(split_traceback(b"a\nb"), (b"a\nb".as_slice(), b"".as_slice()));
    }

    #[test]
    fn errors_have_places() {
        let place =
            |text: &str| String::from_utf8(place_of_error(text.as_bytes()).to_vec()).unwrap();
        assert_eq!(
            place(
                "lua entry thread aborted: runtime error: content_by_lua(nginx.conf:42):3: oops: a:7: b"
            ),
            "content_by_lua(nginx.conf:42):3"
        );
        assert_eq!(
            place("failed to run log_by_lua*: /a b/x.lua:12: oops\n/c.lua:1: x"),
            "/a b/x.lua:12"
        );
        assert_eq!(place("init_worker_by_lua error: x.lua:1: oops"), "x.lua:1");
        assert_eq!(
            place("failed to load external Lua file \"/x.lua\": /x.lua:1: oops"),
            "/x.lua:1"
        );
        assert_eq!(place("lua entry thread aborted: runtime error: oops"), "");
        assert_eq!(place("connect() to 127.0.0.1:80: refused"), "");
    }

    #[test]
    fn callers_have_places() {
        assert_eq!(
            place_of_caller(b"content_by_lua(nginx.conf:42):3: f(): "),
            b"content_by_lua(nginx.conf:42):3"
        );
        assert_eq!(place_of_caller(b":-1: "), b"");
    }

    #[test]
    fn nginx_s_lines_are_taken_apart() {
        let of = |connection, message| Parts { connection, message };
        assert_eq!(
            parts(b"2026/11/29 12:00:00 [error] 12#12: *7 open() failed"),
            of(7, b"open() failed")
        );
        assert_eq!(parts(b"2026/11/29 12:00:00 [error] 12#12: a: b"), of(0, b"a: b"));
        assert_eq!(parts(b"2026/11/29 12:00:00 [error] 12#12: *a b"), of(0, b"*a b"));
        assert_eq!(parts(b"[x] y: z"), of(0, b"[x] y: z"));
        assert_eq!(parts(b""), of(0, b""));
    }
}

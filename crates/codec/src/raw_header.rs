//! The header of a request as the client sent it, from the buffers that nginx has parsed.
//!
//! nginx's parser ends each header's name and value with a NUL in place: the colon goes, and so
//! does the first byte after the value (CR, a bare LF, or trailing space). A line that nginx
//! ignored keeps its bytes. No NUL comes from the client, for nginx refuses those.

use crate::fallible::{self, Grow, OutOfMemory};

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// Restores the header.
///
/// `pieces` are the parsed parts of nginx's buffers, oldest first; the first starts with the
/// request line. All but the last may end in a part of a line, which the next one repeats.
/// `blank_line` is where in the last piece the header's closing blank line starts, where that is
/// known; otherwise it is looked for.
pub fn restore(
    pieces: &[&[u8]],
    blank_line: Option<usize>,
    without_request_line: bool,
) -> Result<Vec<u8>, OutOfMemory> {
    let Some((first, _)) = pieces.split_first() else { return Ok(Vec::new()) };
    let request_line_end = memchr::memchr(LF, first).unwrap_or(first.len().saturating_sub(1));
    let breaks_with_cr = request_line_end > 0 && first.get(request_line_end - 1) == Some(&CR);
    let mut out = fallible::with_capacity(pieces.iter().map(|piece| piece.len()).sum())?;
    let last = pieces.len() - 1;

    for (number, piece) in pieces.iter().enumerate() {
        let skipped = if number == 0 && without_request_line { request_line_end + 1 } else { 0 };
        let piece = piece.get(skipped..).unwrap_or_default();
        if number < last {
            append(whole_lines(piece), None, breaks_with_cr, &mut out)?;
            continue;
        }
        let blank_line = blank_line.and_then(|at| at.checked_sub(skipped));
        let end = blank_line.map(|at| at + if piece.get(at) == Some(&CR) { 2 } else { 1 });
        let piece = end.and_then(|end| piece.get(..end)).unwrap_or(piece);
        append(piece, blank_line, breaks_with_cr, &mut out)?;
    }

    if blank_line.is_none() {
        let end = end_of_header(&out);
        out.truncate(end);
    }
    Ok(out)
}

/// `piece` up to the end of its last whole line.
fn whole_lines(piece: &[u8]) -> &[u8] {
    let end = piece.iter().rposition(|&byte| byte == LF || byte == 0);
    end.and_then(|end| piece.get(..=end)).unwrap_or_default()
}

/// Appends `piece` with what stood where nginx put NULs.
fn append(
    piece: &[u8],
    blank_line: Option<usize>,
    breaks_with_cr: bool,
    out: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let mut after_name = true;
    for (at, &byte) in piece.iter().enumerate() {
        if byte != 0 {
            out.try_push(byte)?;
            continue;
        }
        out.try_push(match piece.get(at + 1) {
            _ if after_name => b':',
            Some(&LF) if blank_line.map_or(breaks_with_cr, |start| start != at + 1) => CR,
            Some(b' ' | b'\t') => b' ',
            _ => LF,
        })?;
        after_name = !after_name;
    }
    Ok(())
}

/// The length of `text` up to and with its first blank line; all of it where there is none.
fn end_of_header(text: &[u8]) -> usize {
    memchr::memchr_iter(LF, text)
        .find_map(|at| match text.get(at + 1..) {
            Some([LF, ..]) => Some(at + 2),
            Some([CR, LF, ..]) => Some(at + 3),
            _ => None,
        })
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What nginx makes of a header of `lines`, and where the blank line starts.
    fn parsed(lines: &[(&str, &str)], line_end: &str) -> (Vec<u8>, usize) {
        let mut bytes = format!("GET / HTTP/1.1{line_end}").into_bytes();
        for (name, value) in lines {
            bytes.extend_from_slice(format!("{name}\0 {value}\0").as_bytes());
            bytes.extend_from_slice(&line_end.as_bytes()[1..]);
        }
        let blank = bytes.len();
        bytes.extend_from_slice(line_end.as_bytes());
        (bytes, blank)
    }

    #[test]
    fn both_line_ends_come_back() {
        for line_end in ["\r\n", "\n"] {
            let (bytes, blank) = parsed(&[("Host", "a"), ("Foo", "b")], line_end);
            let expected = "GET / HTTP/1.1\r\nHost: a\r\nFoo: b\r\n\r\n";
            let expected = expected.replace("\r\n", line_end).into_bytes();
            assert_eq!(restore(&[&bytes], Some(blank), false).unwrap(), expected);
            assert_eq!(restore(&[&bytes], None, false).unwrap(), expected);
        }
    }

    #[test]
    fn the_request_line_can_be_left_out() {
        let (bytes, blank) = parsed(&[("Host", "a")], "\r\n");
        assert_eq!(restore(&[&bytes], Some(blank), true).unwrap(), b"Host: a\r\n\r\n");
        let (bytes, blank) = parsed(&[], "\r\n");
        assert_eq!(restore(&[&bytes], Some(blank), true).unwrap(), b"\r\n");
    }

    #[test]
    fn mixed_line_ends_come_back() {
        let bytes = b"GET / HTTP/1.1\r\nA\0 b\0C\0 d\0\r\nbody";
        assert_eq!(restore(&[bytes], None, true).unwrap(), b"A: b\nC: d\n\r\n");
        let bytes = b"GET / HTTP/1.1\r\nA\0 b\0C\0 d\0\n\nbody";
        assert_eq!(restore(&[bytes], None, true).unwrap(), b"A: b\nC: d\r\n\n");
        let bytes = b"GET / HTTP/1.1\r\nA\0 b\0\nbody\n\n";
        assert_eq!(restore(&[bytes], Some(21), true).unwrap(), b"A: b\n\n");
    }

    #[test]
    fn trailing_space_keeps_its_line() {
        let bytes = b"GET / HTTP/1.1\r\nA\0 b\0 \r\n\r\n";
        assert_eq!(restore(&[bytes], None, true).unwrap(), b"A: b  \r\n\r\n");
    }

    #[test]
    fn ignored_lines_and_partial_lines() {
        let first: &[u8] = b"GET / HTTP/1.1\r\nbad_one: x\r\nA\0 b\0\nLon";
        let last: &[u8] = b"Long\0 value\0\n\r\nbody";
        assert_eq!(
            restore(&[first, last], Some(13), false).unwrap(),
            b"GET / HTTP/1.1\r\nbad_one: x\r\nA: b\r\nLong: value\r\n\r\n"
        );
    }

    #[test]
    fn an_empty_value_has_its_two_ends_side_by_side() {
        let bytes = b"GET / HTTP/1.1\r\nA\0\0\n\r\n";
        assert_eq!(restore(&[bytes], Some(20), true).unwrap(), b"A:\r\n\r\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            pieces in proptest::collection::vec(proptest::collection::vec(0u8..20, 0..40), 0..4),
            blank in proptest::option::of(0usize..50),
            without: bool,
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let out = restore(&pieces, blank, without).unwrap();
            prop_assert!(!out.contains(&0));
        }
    }
}

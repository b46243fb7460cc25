//! Events of an error log as JSON: an object on a line of its own, of as many bytes as there is
//! room for.
//!
//! Any bytes make valid JSON: what is not UTF-8 shows as `\xHH`, a backslash, an x, and two
//! hexadecimal digits.

use crate::fallible::{Grow, OutOfMemory};

/// Where a line goes.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory>;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.try_append(bytes)
    }
}

/// A buffer that does not grow.
pub struct Fixed<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Fixed<N> {
    pub fn new() -> Self {
        Fixed { bytes: [0; N], len: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> Default for Fixed<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Sink for Fixed<N> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(OutOfMemory)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// A field of the object.
pub struct Field<'a> {
    pub name: &'static str,
    pub value: Value<'a>,
}

/// A field's value.
pub enum Value<'a> {
    Number(u64),
    /// Left out if it is empty. In a line of limited length, it gets so many bytes at most.
    Text(&'a [u8], usize),
    /// What the line is about: it gets all the room that is left, and is there even if it is empty.
    Message(&'a [u8]),
}

/// The end of a line, and of a line from which something had to be cut.
const END: &[u8] = b"}\n";
const CUT_END: &[u8] = b",\"cut\":true}\n";

/// Writes the object of `fields`, and a newline, of at most `room` bytes (500 at least) if that is
/// given. What does not fit is cut, and the field `cut` says so.
pub fn write(
    fields: &[Field],
    room: Option<usize>,
    sink: &mut impl Sink,
) -> Result<(), OutOfMemory> {
    let room = room.map_or(usize::MAX, |room| room.saturating_sub(CUT_END.len()));
    let mut line = Line { sink, room, cut: false };
    let mut before = "{\"";
    for Field { name, value } in fields {
        let is_scarce = room != usize::MAX;
        let (text, most) = match value {
            Value::Text([], _) => continue,
            Value::Text(text, most) => (*text, if is_scarce { *most } else { usize::MAX }),
            Value::Message(text) => (*text, usize::MAX),
            Value::Number(_) => (b"".as_slice(), 0),
        };
        // The name, its quotes and the colon, and quotes for the value.
        if line.room < before.len() + name.len() + 24 {
            line.cut = true;
            break;
        }
        line.put(before.as_bytes())?;
        line.put(name.as_bytes())?;
        line.put(b"\":")?;
        match value {
            Value::Number(number) => line.number(*number)?,
            Value::Text(..) | Value::Message(_) => line.quoted(text, most)?,
        }
        before = ",\"";
    }
    let end = if line.cut { CUT_END } else { END };
    line.sink.put(end)
}

struct Line<'a, S> {
    sink: &'a mut S,
    room: usize,
    cut: bool,
}

impl<S: Sink> Line<'_, S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.room = self.room.saturating_sub(bytes.len());
        self.sink.put(bytes)
    }

    fn number(&mut self, number: u64) -> Result<(), OutOfMemory> {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                return self.put(digits.get(at..).unwrap_or_default());
            }
        }
    }

    /// A string, of `most` bytes at most between its quotes.
    fn quoted(&mut self, text: &[u8], most: usize) -> Result<(), OutOfMemory> {
        self.put(b"\"")?;
        let mut left = most.min(self.room.saturating_sub(1));
        for chunk in text.utf8_chunks() {
            if !self.valid(chunk.valid(), &mut left)? {
                break;
            }
            let mut invalid = chunk.invalid().iter();
            if !invalid.all(|byte| matches!(self.piece(&spelt(*byte), &mut left), Ok(true))) {
                self.cut = true;
                break;
            }
        }
        self.put(b"\"")
    }

    /// Whether all of it fits.
    fn valid(&mut self, text: &str, left: &mut usize) -> Result<bool, OutOfMemory> {
        let mut rest = text;
        loop {
            let plain = rest.bytes().position(is_special).unwrap_or(rest.len());
            let (mut run, behind) = rest.split_at(plain);
            if run.len() > *left {
                let end = (0..=*left).rev().find(|end| run.is_char_boundary(*end)).unwrap_or(0);
                run = run.get(..end).unwrap_or_default();
                self.put(run.as_bytes())?;
                self.cut = true;
                return Ok(false);
            }
            self.put(run.as_bytes())?;
            *left -= run.len();
            let Some(special) = behind.bytes().next() else { return Ok(true) };
            let mut code = *b"\\u0000";
            if !self.piece(escape(special, &mut code), left)? {
                return Ok(false);
            }
            rest = behind.get(1..).unwrap_or_default();
        }
    }

    /// Whether it fits.
    fn piece(&mut self, piece: &[u8], left: &mut usize) -> Result<bool, OutOfMemory> {
        let fits = piece.len() <= *left;
        if fits {
            *left -= piece.len();
            self.put(piece)?;
        } else {
            self.cut = true;
        }
        Ok(fits)
    }
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\' || byte == 0x7f
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'))
}

/// `\xHH` in a string.
fn spelt(byte: u8) -> [u8; 5] {
    let [high, low] = digits(byte);
    [b'\\', b'\\', b'x', high, low]
}

fn escape(byte: u8, code: &mut [u8; 6]) -> &[u8] {
    match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        _ => {
            [code[4], code[5]] = digits(byte);
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn line(fields: &[Field], room: Option<usize>) -> (Vec<u8>, Json) {
        let mut line = Vec::new();
        write(fields, room, &mut line).unwrap();
        let parsed = serde_json::from_slice(&line).unwrap();
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        (line, parsed)
    }

    fn message(text: &[u8]) -> [Field<'_>; 1] {
        [Field { name: "message", value: Value::Message(text) }]
    }

    fn shown(text: &[u8]) -> String {
        line(&message(text), None).1["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn any_bytes_are_json() {
        assert_eq!(
            shown("plain ü\u{10348} \"\\\n\r\t\0\x1f\x7f".as_bytes()),
            "plain ü\u{10348} \"\\\n\r\t\0\x1f\x7f"
        );
        assert_eq!(shown(b"a\xffb\xc3\xe2\x82"), "a\\xffb\\xc3\\xe2\\x82");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn fields_are_in_order() {
        let fields = [
            Field { name: "n", value: Value::Number(0) },
            Field { name: "most", value: Value::Number(u64::MAX) },
            Field { name: "none", value: Value::Text(b"", 10) },
            Field { name: "text", value: Value::Text(b"more than ten bytes", 10) },
            Field { name: "message", value: Value::Message(b"m") },
        ];
        let (line, _) = line(&fields, None);
        let expected = "{\"n\":0,\"most\":18446744073709551615,\"text\":\"more than ten bytes\",\"message\":\"m\"}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let fields = [
            Field { name: "text", value: Value::Text(b"more than ten bytes", 10) },
            Field { name: "message", value: Value::Message(&[b'x'; 1000]) },
            Field { name: "traceback", value: Value::Text(b"at", 100) },
        ];
        let (line, parsed) = line(&fields, Some(600));
        assert_eq!(line.len(), 600);
        assert_eq!(parsed["text"], "more than ");
        assert_eq!(parsed["cut"], true);
        assert_eq!(parsed.get("traceback"), None);
    }

    #[test]
    fn a_fixed_buffer_does_not_grow() {
        let mut small = Fixed::<8>::new();
        assert_eq!(small.put(b"12345678"), Ok(()));
        assert_eq!(small.put(b"9"), Err(OutOfMemory));
        assert_eq!(small.bytes(), b"12345678");
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_a_line(text: Vec<u8>, room in 500usize..700) {
            let long = text.repeat(20);
            let (short, parsed) = line(&message(&long), Some(room));
            prop_assert!(short.len() <= room);
            let whole = shown(&long);
            let part = parsed["message"].as_str().unwrap();
            prop_assert!(whole.starts_with(part));
            prop_assert_eq!(parsed.get("cut").is_none(), part == whole);
        }

        #[test]
        fn text_stays_as_it_is(text: String) {
            prop_assert_eq!(shown(text.as_bytes()), text);
        }
    }
}

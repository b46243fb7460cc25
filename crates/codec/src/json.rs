//! Strings in JSON.

use std::fmt::{self, Write as _};

/// Displays bytes as a JSON string, in quotes; what is not UTF-8 shows as U+FFFD.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| escape(f, c))?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        f.write_char('"')
    }
}

fn escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if c < ' ' || c == '\u{7f}' => write!(f, "\\u{:04x}", u32::from(c)),
        c => f.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_json_does_not_take_is_escaped() {
        let shown = |bytes: &[u8]| format!("{}", Quoted(bytes));
        assert_eq!(shown(b"plain /uri?a=b"), "\"plain /uri?a=b\"");
        assert_eq!(shown(b"a\"b\\c"), "\"a\\\"b\\\\c\"");
        assert_eq!(shown(b"\n\r\t\0\x1f\x7f"), "\"\\n\\r\\t\\u0000\\u001f\\u007f\"");
        assert_eq!(shown("ü\u{10348}".as_bytes()), "\"ü\u{10348}\"");
        assert_eq!(shown(b"a\xffb\xc3"), "\"a\u{fffd}b\u{fffd}\"");
    }
}

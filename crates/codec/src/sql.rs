//! `ngx.quote_sql_str`: a string literal by MySQL's rules.
//!
//! Every byte that could end the literal or start an escape is escaped; bytes of multi-byte
//! characters are left alone.

use crate::fallible::{self, Grow, OutOfMemory};

/// `src` as a literal, with its quotes.
pub fn quote(src: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut out = fallible::with_capacity(src.len() + 2)?;
    out.try_push(b'\'')?;
    for &byte in src {
        match escaped(byte) {
            Some(letter) => out.try_append(&[b'\\', letter])?,
            None => out.try_push(byte)?,
        }
    }
    out.try_push(b'\'')?;
    Ok(out)
}

/// The letter that stands for `byte` after a backslash.
fn escaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'\0' => b'0',
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x1a => b'Z',
        b'\\' | b'\'' | b'"' => byte,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_what_mysql_names() {
        assert_eq!(quote(b"").unwrap(), b"''");
        assert_eq!(quote(b"a'b\"c\\").unwrap(), br#"'a\'b\"c\\'"#);
        assert_eq!(quote(b"\0\x08\n\r\t\x1a").unwrap(), br"'\0\b\n\r\t\Z'");
        assert_eq!(quote("ü\x1b%_".as_bytes()).unwrap(), "'ü\x1b%_'".as_bytes());
    }

    /// Reads a literal back as MySQL does.
    fn read(literal: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = literal.strip_prefix(b"'")?.strip_suffix(b"'")?.iter();
        let mut out = Vec::new();
        while let Some(&byte) = bytes.next() {
            out.push(match byte {
                b'\'' | b'"' => return None,
                b'\\' => match bytes.next()? {
                    b'0' => 0,
                    b'b' => 8,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'Z' => 0x1a,
                    &other => other,
                },
                _ => byte,
            });
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn a_literal_reads_back(src: Vec<u8>) {
            prop_assert_eq!(read(&quote(&src).unwrap()), Some(src));
        }
    }
}

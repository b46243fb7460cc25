//! Escaping and unescaping of URIs, headers and log lines.
//!
//! The sets of escaped bytes are those of the C module and are part of its API: a type's number is
//! the second argument of `ngx.escape_uri`. Escaping writes upper-case digits; unescaping also
//! turns `+` into a space and leaves a malformed `%` as it is.

use std::borrow::Cow;
use std::fmt;

use crate::byte_set::ByteSet;
use crate::fallible::{self, Grow, OutOfMemory, Shown};
use crate::hex;
use crate::short::find_either;

/// What a string is escaped for: each type has its own set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EscapeType {
    /// A path (`NGX_ESCAPE_URI`).
    Uri,
    /// A query string (`NGX_ESCAPE_ARGS`).
    Args,
    /// A name or value in a query string (`NGX_ESCAPE_URI_COMPONENT`), the type of
    /// `ngx.escape_uri` when none is given.
    UriComponent,
    /// A link in HTML (`NGX_ESCAPE_HTML`).
    Html,
    /// A link in a refresh tag (`NGX_ESCAPE_REFRESH`): existing escapes are kept.
    Refresh,
    /// A memcached key (`NGX_ESCAPE_MEMCACHED`).
    Memcached,
    /// A login sent to an authentication server (`NGX_ESCAPE_MAIL_AUTH`).
    MailAuth,
    /// The name of a header set from Lua (`NGX_HTTP_LUA_ESCAPE_HEADER_NAME`).
    HeaderName,
    /// The value of a header set from Lua (`NGX_HTTP_LUA_ESCAPE_HEADER_VALUE`).
    HeaderValue,
    /// A whole query string given to `ngx.req.set_uri_args`; it has no number.
    RawArgs,
}

const CONTROLS: ByteSet = ByteSet::new().range(0x00, 0x1f);
const NOT_GRAPHIC: ByteSet = ByteSet::new().range(0x00, 0x20).range(0x7f, 0xff);

static URI: ByteSet = NOT_GRAPHIC.with(b"#%?");
static ARGS: ByteSet = NOT_GRAPHIC.with(b"#%+?");
static URI_COMPONENT: ByteSet = ByteSet::new()
    .range(b'a', b'z')
    .range(b'A', b'Z')
    .range(b'0', b'9')
    .with(b"!'()*-._~")
    .complement();
static HTML: ByteSet = NOT_GRAPHIC.with(b"\"#%'");
static REFRESH: ByteSet = NOT_GRAPHIC.with(b"\"'");
static MEMCACHED: ByteSet = CONTROLS.with(b" %");
pub(crate) static HEADER_NAME: ByteSet = NOT_GRAPHIC.with(b"\"(),/:;<=>?@[\\]{}");
pub(crate) static HEADER_VALUE: ByteSet =
    ByteSet::new().range(0x00, 0x08).range(0x0a, 0x1f).with(b"\x7f");
static RAW_ARGS: ByteSet = CONTROLS.with(b" \x7f");
static LOG: ByteSet = ByteSet::new().range(0x00, 0x1f).range(0x7f, 0xff).with(b"\"\\");

impl EscapeType {
    /// The type with the number `code`, nginx's or, from 7 on, the C module's; `None` if there is
    /// none.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => EscapeType::Uri,
            1 => EscapeType::Args,
            2 => EscapeType::UriComponent,
            3 => EscapeType::Html,
            4 => EscapeType::Refresh,
            5 => EscapeType::Memcached,
            6 => EscapeType::MailAuth,
            7 => EscapeType::HeaderName,
            8 => EscapeType::HeaderValue,
            _ => return None,
        })
    }

    fn escaped(self) -> &'static ByteSet {
        match self {
            EscapeType::Uri => &URI,
            EscapeType::Args => &ARGS,
            EscapeType::UriComponent => &URI_COMPONENT,
            EscapeType::Html => &HTML,
            EscapeType::Refresh => &REFRESH,
            EscapeType::Memcached | EscapeType::MailAuth => &MEMCACHED,
            EscapeType::HeaderName => &HEADER_NAME,
            EscapeType::HeaderValue => &HEADER_VALUE,
            EscapeType::RawArgs => &RAW_ARGS,
        }
    }
}

/// The length of `src` once escaped.
pub fn escaped_len(src: &[u8], kind: EscapeType) -> usize {
    src.len() + 2 * kind.escaped().count_in(src)
}

/// Hands `src`, escaped, to `put`, piece after piece: [`escaped_len`] bytes in all.
#[inline]
pub fn escape_with(src: &[u8], kind: EscapeType, mut put: impl FnMut(&[u8])) {
    let set = kind.escaped();
    for byte in src {
        if set.contains(*byte) {
            let [high, low] = hex::upper(*byte);
            put(&[b'%', high, low]);
        } else {
            put(std::slice::from_ref(byte));
        }
    }
}

/// Appends `src`, escaped, to `out`.
pub fn escape_to(src: &[u8], kind: EscapeType, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let set = kind.escaped();
    let mut rest = src;

    while let Some(at) = rest.iter().position(|&byte| set.contains(byte)) {
        let (plain, tail) = rest.split_at(at);
        out.try_append(plain)?;
        let Some((&byte, tail)) = tail.split_first() else { break };
        let [high, low] = hex::upper(byte);
        out.try_append(&[b'%', high, low])?;
        rest = tail;
    }

    out.try_append(rest)
}

/// `src` escaped; borrowed when nothing in it needs escaping.
pub fn escape(src: &[u8], kind: EscapeType) -> Result<Cow<'_, [u8]>, OutOfMemory> {
    let set = kind.escaped();
    if !src.iter().any(|&byte| set.contains(byte)) {
        return Ok(Cow::Borrowed(src));
    }

    let mut out = fallible::with_capacity(escaped_len(src, kind))?;
    escape_to(src, kind, &mut out)?;
    Ok(Cow::Owned(out))
}

/// A query string without the bytes that would end a line of a request, or make one malformed:
/// controls are escaped, all else is as the caller wrote it.
pub fn escape_controls(args: &[u8]) -> Result<Cow<'_, [u8]>, OutOfMemory> {
    escape(args, EscapeType::HeaderValue)
}

/// The byte that the escape sequence at the start of `src` stands for.
#[inline]
fn escape_sequence(src: &[u8]) -> Option<u8> {
    match *src {
        [b'%', high, low, ..] => Some(hex::digit(high)? << 4 | hex::digit(low)?),
        _ => None,
    }
}

/// Writes `src`, unescaped, to the start of `dst`. Returns the length written, never more than
/// `src.len()`, or `None` when `dst` is shorter than that.
pub fn unescape_into(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let dst = dst.get_mut(..src.len())?;
    dst.copy_from_slice(src);
    Some(unescape_in_place(dst))
}

/// Unescapes `buf` where it stands and returns the new length; the bytes after it are leftovers.
pub fn unescape_in_place(buf: &mut [u8]) -> usize {
    let Some(mut from) = find_either(b'%', b'+', buf) else { return buf.len() };
    let mut to = from;

    while let Some(&byte) = buf.get(from) {
        let (value, taken) = match byte {
            b'+' => (b' ', 1),
            b'%' => match escape_sequence(buf.get(from..).unwrap_or_default()) {
                Some(value) => (value, 3),
                None => (b'%', 1),
            },
            _ => (byte, 1),
        };
        if let Some(slot) = buf.get_mut(to) {
            *slot = value;
        }
        to += 1;
        from += taken;
    }

    to
}

/// `src` unescaped.
pub fn unescape(src: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut out = fallible::copy(src)?;
    let len = unescape_in_place(&mut out);
    out.truncate(len);
    Ok(out)
}

/// A byte that is not allowed in a URI given to `ngx.req.set_uri` or `ngx.redirect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsafeByte {
    byte: u8,
    uri: Vec<u8>,
}

/// Refuses control bytes other than the tab, so that no URI can end a header line.
pub fn check_unsafe_bytes(uri: &[u8]) -> Result<(), UnsafeByte> {
    match uri.iter().find(|&&byte| HEADER_VALUE.contains(byte)) {
        Some(&byte) => Err(UnsafeByte { byte, uri: escape_log(uri).unwrap_or_default() }),
        None => Ok(()),
    }
}

impl UnsafeByte {
    /// The first unsafe byte.
    pub fn byte(&self) -> u8 {
        self.byte
    }

    /// Displays the message of `ngx.redirect`.
    pub fn in_redirect_uri(&self) -> impl fmt::Display {
        InRedirectUri(self)
    }
}

/// Displays the message of `ngx.redirect`.
struct InRedirectUri<'a>(&'a UnsafeByte);

impl fmt::Display for InRedirectUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnsafeByte { byte, uri } = self.0;
        write!(f, "unsafe byte \"0x{byte:02x}\" in redirect uri \"{}\"", Shown(uri))
    }
}

/// The message of `ngx.req.set_uri`.
impl fmt::Display for UnsafeByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unsafe byte \"0x{:02x}\" in uri \"{}\" (maybe you want to set the 'binary' argument?)",
            self.byte,
            Shown(&self.uri)
        )
    }
}

impl std::error::Error for UnsafeByte {}

/// `src` with quotes, backslashes, controls and all that is not ASCII written as `\xHH`.
pub fn escape_log(src: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut out = fallible::with_capacity(src.len() + 3 * LOG.count_in(src))?;
    for &byte in src {
        if LOG.contains(byte) {
            let [high, low] = hex::upper(byte);
            out.try_append(&[b'\\', b'x', high, low])?;
        } else {
            out.try_push(byte)?;
        }
    }
    Ok(out)
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;

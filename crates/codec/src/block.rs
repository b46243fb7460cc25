//! The lexer behind every `*_by_lua_block` directive: finds the brace that ends the Lua code.
//!
//! It knows just enough Lua to tell braces that count from braces that do not: quoted strings,
//! long brackets of every level and comments. Bytes are pushed in pieces of any size, as nginx
//! reads its configuration, and the result never depends on where the pieces are cut.
//!
//! Two peculiarities of the C module are kept, because users can see them:
//! - A quote that is not closed on its own line opens nothing: the bytes after it are code again.
//! - A long bracket must close within nginx's configuration buffer, see [`CONF_BUFFER`]. Strings,
//!   comments and plain code may be longer than that buffer; the C module refuses or misreads some
//!   of them, this one reads them all.

use std::fmt;

use memchr::{memchr, memmem};

/// Size of nginx's configuration buffer (`NGX_CONF_BUFFER`). A long bracket must fit into it.
pub const CONF_BUFFER: usize = 4096;

/// What stopped the lexer. `Display` gives the text for `ngx_conf_log_error`, which adds the file
/// name and the line: set `cf->conf_file->line` to [`Error::line`] first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The input ended inside the block; `line` is that of the last brace that was opened.
    UnexpectedEnd { line: usize },
    /// A long bracket opened at `line` has no `closing` bracket within reach.
    UnclosedLongBracket { line: usize, closing: Vec<u8> },
}

impl Error {
    /// The line of the configuration file to report.
    pub fn line(&self) -> usize {
        match self {
            Error::UnexpectedEnd { line } | Error::UnclosedLongBracket { line, .. } => *line,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnexpectedEnd { .. } => f.write_str(
                "unexpected end of file, expecting terminating characters for lua code block",
            ),
            Error::UnclosedLongBracket { closing, .. } => write!(
                f,
                "Lua code block missing the closing long bracket \"{}\", \
                 the inlined Lua code may be too long",
                String::from_utf8_lossy(closing)
            ),
        }
    }
}

impl std::error::Error for Error {}

/// A block that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The Lua code between the braces, neither of them included.
    pub code: Vec<u8>,
    /// The line of the closing brace.
    pub line: usize,
    /// How many of the bytes fed lie after the closing brace. It may be more than the last piece
    /// had: that a quote opened nothing is known only at the end of its line.
    pub unread: usize,
}

/// The answer to [`Lexer::feed`].
#[derive(Debug)]
pub enum LexerProgress {
    /// The block goes on: feed the next piece, or call [`Lexer::finish`] at the end of the file.
    NeedMore(Lexer),
    /// The closing brace was found.
    Done(Block),
    /// The block is malformed.
    Failed(Error),
}

/// An incremental lexer for one block; it starts right after the opening brace.
#[derive(Debug)]
pub struct Lexer {
    text: Vec<u8>,
    /// The end of the last token, and the line there.
    token_end: usize,
    line: usize,
    /// No token starts before this offset.
    scanned: usize,
    depth: usize,
    brace_line: usize,
    /// Where nginx's buffer would end.
    buffer_end: usize,
}

impl Lexer {
    /// `line` is the line of the opening brace, `buffered` the number of bytes that nginx's
    /// configuration buffer holds after it (`b->last - b->pos`).
    pub fn new(line: usize, buffered: usize) -> Self {
        Lexer {
            text: Vec::new(),
            token_end: 0,
            line,
            scanned: 0,
            depth: 1,
            brace_line: line,
            buffer_end: buffered,
        }
    }

    /// Takes the next bytes of the file.
    pub fn feed(mut self, piece: &[u8]) -> LexerProgress {
        self.text.extend_from_slice(piece);
        match self.run(false) {
            Ok(Some(end)) => LexerProgress::Done(self.into_block(end)),
            Ok(None) => LexerProgress::NeedMore(self),
            Err(error) => LexerProgress::Failed(error),
        }
    }

    /// Tells the lexer that the file has no more bytes.
    pub fn finish(mut self) -> Result<Block, Error> {
        match self.run(true)? {
            Some(end) => Ok(self.into_block(end)),
            None => Err(Error::UnexpectedEnd { line: self.brace_line }),
        }
    }

    fn into_block(mut self, end: usize) -> Block {
        let unread = self.text.len() - end;
        self.text.truncate(end - 1);
        Block { code: self.text, line: self.line, unread }
    }

    /// Reads as many tokens as there are; gives the offset after the closing brace.
    fn run(&mut self, at_end: bool) -> Result<Option<usize>, Error> {
        loop {
            let (token, start, end) = match next_token(&self.text, self.scanned, at_end) {
                Found::Token { token, start, end } => (token, start, end),
                Found::Nothing { scanned } => {
                    self.scanned = scanned;
                    return Ok(None);
                }
            };

            let end = match token {
                Token::LongBracket { level } => {
                    match self.long_bracket_end(start, end, level, at_end)? {
                        Some(end) => end,
                        None => {
                            self.scanned = start;
                            return Ok(None);
                        }
                    }
                }
                _ => end,
            };

            self.advance(end);

            match token {
                Token::OpenBrace => {
                    self.depth += 1;
                    self.brace_line = self.line;
                }
                Token::CloseBrace if self.depth == 1 => return Ok(Some(end)),
                Token::CloseBrace => self.depth -= 1,
                Token::LongBracket { .. } | Token::Other => {}
            }
        }
    }

    fn advance(&mut self, end: usize) {
        self.line += count_lines(&self.text, self.token_end, end);
        self.token_end = end;
        self.scanned = end;
    }

    /// The offset after the bracket that closes the one at `start..open_end`, or `None` while it
    /// may still come.
    fn long_bracket_end(
        &mut self,
        start: usize,
        open_end: usize,
        level: usize,
        at_end: bool,
    ) -> Result<Option<usize>, Error> {
        let buffer_end = self.buffer_end_for(start, open_end);
        let limit = buffer_end.min(self.text.len());

        let closing = [b"]", "=".repeat(level).as_bytes(), b"]"].concat();

        let inside = self.text.get(open_end..limit).unwrap_or_default();
        if let Some(at) = memmem::find(inside, &closing) {
            return Ok(Some(open_end + at + closing.len()));
        }

        if self.text.len() < buffer_end && !at_end {
            return Ok(None);
        }

        let line = self.line + count_lines(&self.text, self.token_end, start);
        Err(Error::UnclosedLongBracket { line, closing })
    }

    /// Follows nginx's buffer: it is filled up, starting with the bytes after the last token,
    /// whenever less than half of it is left.
    fn buffer_end_for(&mut self, start: usize, open_end: usize) -> usize {
        if self.buffer_end < self.token_end + CONF_BUFFER / 2 {
            self.buffer_end = self.token_end + CONF_BUFFER;
        }

        if self.buffer_end < open_end {
            self.buffer_end = start + CONF_BUFFER;
        }

        self.buffer_end
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    OpenBrace,
    CloseBrace,
    /// An opening long bracket, of a string or of a comment.
    LongBracket {
        level: usize,
    },
    /// A closing long bracket without its opening one, a line comment or a quoted string.
    Other,
}

enum Found {
    Token { token: Token, start: usize, end: usize },
    Nothing { scanned: usize },
}

/// What the bytes at one offset are.
enum Match {
    Token(Token, usize),
    No,
    /// More bytes are needed to tell.
    Open,
}

fn next_token(text: &[u8], from: usize, at_end: bool) -> Found {
    for start in from..text.len() {
        match match_at(text, start, at_end) {
            Match::Token(token, end) => return Found::Token { token, start, end },
            Match::Open => return Found::Nothing { scanned: start },
            Match::No => {}
        }
    }

    Found::Nothing { scanned: text.len() }
}

fn match_at(text: &[u8], start: usize, at_end: bool) -> Match {
    let undecided = if at_end { Match::No } else { Match::Open };

    match text.get(start) {
        Some(b'{') => Match::Token(Token::OpenBrace, start + 1),
        Some(b'}') => Match::Token(Token::CloseBrace, start + 1),
        Some(b'[') => match long_bracket(text, start, b'[') {
            Some(Some(end)) => Match::Token(Token::LongBracket { level: end - start - 2 }, end),
            Some(None) => Match::No,
            None => undecided,
        },
        Some(b']') => match long_bracket(text, start, b']') {
            Some(Some(end)) => Match::Token(Token::Other, end),
            Some(None) => Match::No,
            None => undecided,
        },
        Some(b'-') => match text.get(start + 1) {
            Some(b'-') => comment(text, start + 2, at_end),
            Some(_) => Match::No,
            None => undecided,
        },
        Some(&quote @ (b'"' | b'\'')) => match quoted(text, start + 1, quote) {
            Some(Some(end)) => Match::Token(Token::Other, end),
            Some(None) => Match::No,
            None => undecided,
        },
        _ => Match::No,
    }
}

/// Matches `[=*[` or `]=*]`: `None` when the text ends first, else the end of the match, if any.
fn long_bracket(text: &[u8], start: usize, bracket: u8) -> Option<Option<usize>> {
    let rest = text.get(start + 1..)?;
    let level = rest.iter().position(|&c| c != b'=')?;
    Some((rest.get(level) == Some(&bracket)).then_some(start + level + 2))
}

/// Matches a comment whose text begins at `body`.
fn comment(text: &[u8], body: usize, at_end: bool) -> Match {
    if text.get(body) == Some(&b'[') {
        match long_bracket(text, body, b'[') {
            Some(Some(end)) => {
                return Match::Token(Token::LongBracket { level: end - body - 2 }, end);
            }
            Some(None) => {}
            None if !at_end => return Match::Open,
            None => {}
        }
    }

    match memchr(b'\n', text.get(body..).unwrap_or_default()) {
        Some(len) => Match::Token(Token::Other, body + len),
        None if at_end => Match::Token(Token::Other, text.len()),
        None => Match::Open,
    }
}

/// Matches a string up to its closing quote, on one line; an escape covers any byte but a newline.
fn quoted(text: &[u8], body: usize, quote: u8) -> Option<Option<usize>> {
    let mut at = body;

    loop {
        match *text.get(at)? {
            b'\n' => return Some(None),
            b'\\' => {
                if *text.get(at + 1)? == b'\n' {
                    return Some(None);
                }
                at += 2;
            }
            c if c == quote => return Some(Some(at + 1)),
            _ => at += 1,
        }
    }
}

fn count_lines(text: &[u8], from: usize, to: usize) -> usize {
    memchr::memchr_iter(b'\n', text.get(from..to).unwrap_or_default()).count()
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;

//! Tests of the block lexer: the shapes of real configurations, then random text against the
//! token grammar written as one regular expression.

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;

const ROOMY: usize = 1 << 40;

/// Feeds `text` in pieces of `size` bytes, then ends the file.
fn lex(text: &[u8], size: usize, buffered: usize) -> Result<Block, Error> {
    let mut lexer = Lexer::new(1, buffered);

    for (i, piece) in text.chunks(size).enumerate() {
        match lexer.feed(piece) {
            LexerProgress::NeedMore(next) => lexer = next,
            LexerProgress::Done(mut block) => {
                block.unread += text.len().saturating_sub((i + 1) * size);
                return Ok(block);
            }
            LexerProgress::Failed(error) => return Err(error),
        }
    }

    lexer.finish()
}

fn code(text: &str) -> String {
    let block = lex(text.as_bytes(), CONF_BUFFER, ROOMY).expect("a complete block");
    assert_eq!(block.code.len() + 1 + block.unread, text.len());
    String::from_utf8(block.code).expect("UTF-8")
}

#[test]
fn stops_at_the_matching_brace() {
    assert_eq!(code("ngx.say(1)} rest }"), "ngx.say(1)");
    assert_eq!(code("}"), "");
    assert_eq!(code("local t = {{}, {1}} }\n}"), "local t = {{}, {1}} ");
}

#[test]
fn braces_in_strings_do_not_count() {
    assert_eq!(
        code(r#"say("}", '{', "\"}", '\'{', "\\")}x"#),
        r#"say("}", '{', "\"}", '\'{', "\\")"#
    );
    assert_eq!(code("say([[ } ]], [==[ ]] } ]=] ]==])}"), "say([[ } ]], [==[ ]] } ]=] ]==])");
    assert_eq!(code("say([[\"]], [[']])} '"), "say([[\"]], [[']])");
}

#[test]
fn braces_in_comments_do_not_count() {
    assert_eq!(code("--}} {\n}"), "--}} {\n");
    assert_eq!(code("--[[ }\n ' \" ]=] ]] a --[=[ } ]=] }"), "--[[ }\n ' \" ]=] ]] a --[=[ } ]=] ");
    assert_eq!(code("--[=} [[ \n }"), "--[=} [[ \n ");
    assert_eq!(code("say([[ok--]]) }"), "say([[ok--]]) ");
}

#[test]
fn stray_closing_long_brackets_are_code() {
    assert_eq!(code("say(t1[t2[1]]) ]=] }"), "say(t1[t2[1]]) ]=] ");
}

#[test]
fn an_unclosed_quote_opens_nothing() {
    assert_eq!(code("a ' } \n b"), "a ' ");
    assert_eq!(code("a \"x\\\n } \""), "a \"x\\\n ");
    assert_eq!(code("it's }"), "it's ");
}

#[test]
fn a_quote_that_fails_late_gives_bytes_back() {
    let block = lex(b"a ' } and more\nrest", 4, ROOMY).unwrap();
    assert_eq!((block.code.as_slice(), block.unread), (b"a ' ".as_slice(), 14));
}

#[test]
fn lines_are_counted() {
    let block = lex(b"\n\n'a' [[\n]]\n }\n", 3, ROOMY).unwrap();
    assert_eq!(block.line, 5);
}

#[test]
fn the_end_of_the_file_is_reported_at_the_last_opened_brace() {
    let error = lex(b"\n{\n'x'\n\n", 3, ROOMY).unwrap_err();
    assert_eq!(error, Error::UnexpectedEnd { line: 2 });
    assert_eq!(
        error.to_string(),
        "unexpected end of file, expecting terminating characters for lua code block"
    );
    assert_eq!(lex(b"", 1, ROOMY).unwrap_err().line(), 1);
    assert_eq!(lex(b"-- }", 1, ROOMY).unwrap_err().line(), 1);
}

#[test]
fn an_unclosed_long_bracket_is_reported_where_it_opens() {
    for (text, closing) in [("\n\n say([[x)\n}\n", "]]"), ("\n\n --[==[ ]=] ]]\n }", "]==]")] {
        let error = lex(text.as_bytes(), 5, ROOMY).unwrap_err();
        assert_eq!(error.line(), 3);
        assert_eq!(
            error.to_string(),
            format!(
                "Lua code block missing the closing long bracket \"{closing}\", \
                 the inlined Lua code may be too long"
            )
        );
    }
}

fn bracket_of(len: usize) -> Vec<u8> {
    let mut text = b"[[".to_vec();
    text.resize(len - 2, b'a');
    text.extend_from_slice(b"]]}");
    text
}

#[test]
fn a_long_bracket_must_close_within_the_buffer() {
    assert!(lex(&bracket_of(3000), 100, 3000).is_ok());
    assert!(lex(&bracket_of(3001), 100, 3000).is_err());
    assert!(lex(&bracket_of(CONF_BUFFER), 100, 2047).is_ok(), "refilled below one half");
    assert!(lex(&bracket_of(CONF_BUFFER + 1), 100, 0).is_err());
}

#[test]
fn the_buffer_moves_on_with_the_tokens() {
    let mut text = vec![b' '; 1500];
    text.extend_from_slice(b"''");
    text.extend(bracket_of(3000));
    assert!(lex(&text, 64, 3000).is_ok());
}

#[test]
fn strings_comments_and_code_may_exceed_the_buffer() {
    let filler = "x".repeat(3 * CONF_BUFFER);
    for text in [format!("'}}{filler}}}' }}"), format!("--}}{filler}\n}}"), format!("{filler}}}")] {
        assert_eq!(code(&text).len(), text.len() - 1);
    }
}

/// A slow, simple version to compare with: the tokens as one regular expression, over the whole
/// text.
fn reference(text: &[u8]) -> Result<(usize, usize), ()> {
    let token = Regex::new(
        r#"(?-u)(?<open>\{)|(?<close>\})|(?:--)?(?<long>\[=*\[)|\]=*\]|--[^\n]*|"(?:\\[^\n]|[^"\n\\])*"|'(?:\\[^\n]|[^'\n\\])*'"#,
    )
    .unwrap();
    let (mut at, mut depth) = (0, 1);

    while let Some(found) = token.captures_at(text, at) {
        at = found.get(0).unwrap().end();
        if found.name("open").is_some() {
            depth += 1;
        } else if found.name("close").is_some() {
            depth -= 1;
            if depth == 0 {
                let lines = text[..at].iter().filter(|&&c| c == b'\n').count();
                return Ok((at, 1 + lines));
            }
        } else if let Some(long) = found.name("long") {
            let closing: Vec<u8> =
                long.as_bytes().iter().map(|&c| if c == b'[' { b']' } else { c }).collect();
            let rest = &text[at..];
            let len = rest.windows(closing.len()).position(|w| w == closing).ok_or(())?;
            at += len + closing.len();
        }
    }

    Err(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_grammar(
        text in r#"[\[\]={}'"\\\na -]{0,40}|(\}|\{|--|\[\[|\]\]|\[=\[|\]=\]|'|"|\\|\n|-|a| ){0,20}"#,
        size in 1usize..9,
    ) {
        let text = text.as_bytes();
        let got = lex(text, size, ROOMY).map(|b| (text.len() - b.unread, b.line)).map_err(|_| ());
        prop_assert_eq!(got, reference(text));
    }

    #[test]
    fn pieces_do_not_matter(text in "[\\[\\]={}'\"\\\\\na -]{0,80}", size in 1usize..9, room in 0usize..60) {
        prop_assert_eq!(lex(text.as_bytes(), size, room), lex(text.as_bytes(), 4096, room));
    }
}

//! The block lexer: the way the input is cut does not show in the result.
#![no_main]

use codec::block::{Block, Error, Lexer, LexerProgress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (size, buffered, text) = input;
    let buffered = usize::from(buffered);

    let whole = lex(text, text.len().max(1), buffered);
    assert_eq!(whole, lex(text, usize::from(size).max(1), buffered));

    match whole {
        Ok(block) => {
            let end = text.len() - block.unread;
            assert_eq!(text[end - 1], b'}');
            assert_eq!(block.code, text[..end - 1]);
            assert_eq!(block.line, 1 + text[..end].iter().filter(|&&c| c == b'\n').count());
        }
        Err(error) => {
            let lines = 1 + text.iter().filter(|&&c| c == b'\n').count();
            assert!((1..=lines).contains(&error.line()));
        }
    }
});

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

//! Reads the body of a `*_by_lua_block` directive from nginx's configuration file.

use codec::block::{Lexer, LexerProgress};

use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::core::conf_file::conf_file;

/// Reads the Lua code up to the closing brace; nginx's parser continues after it.
pub fn read(conf: Conf) -> Result<Vec<u8>, ConfError> {
    let Some(mut file) = conf_file(conf) else {
        return Err(conf.refuse(b"block directives are not supported in -g option"));
    };
    let mut lexer = Lexer::new(file.line(), file.buffered().len());
    let mut piece = file.take_buffered();
    loop {
        let result = match lexer.feed(&piece) {
            LexerProgress::Done(block) => Ok(block),
            LexerProgress::Failed(error) => Err(error),
            LexerProgress::NeedMore(more) => match file.read_more()? {
                Some(next) => {
                    lexer = more;
                    piece = next;
                    continue;
                }
                None => more.finish(),
            },
        };
        return match result {
            Ok(block) => {
                file.set_line(block.line);
                file.unread(block.unread)?;
                Ok(block.code)
            }
            Err(error) => {
                file.set_line(error.line());
                Err(conf.refuse(error.to_string().as_bytes()))
            }
        };
    }
}

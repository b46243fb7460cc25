//! What `nginx -t` compiles and does not run: the code of the directives, and the files of
//! `lua_check_files`.

use super::code::HookCode;
use super::main::MainConf;
use crate::lua::chunk::Chunk;
use crate::nginx::core::conf::{Conf, ConfResult};
use crate::nginx::core::{glob, process};

/// Code that is to be compiled.
pub struct Unchecked {
    pub code: HookCode,
    /// Where the configuration has or names it: `/etc/nginx/nginx.conf:42`.
    pub place: Vec<u8>,
    /// Whether `lua_check_files` names it.
    pub is_listed: bool,
}

/// Notes inline code, if this is `nginx -t`; Lua calls it `name`.
pub fn note_code(cf: Conf, line: usize, code: &[u8], name: &[u8]) {
    note(cf, line, false, || HookCode::Inline(Chunk::new(code, name)));
}

/// As [`note_code`], for the file at the absolute path `path`.
pub fn note_file(cf: Conf, line: usize, path: &[u8]) {
    note(cf, line, false, || HookCode::File(path.to_vec()));
}

fn note(cf: Conf, line: usize, is_listed: bool, code: impl FnOnce() -> HookCode) {
    if process::is_configuration_test() {
        let place = [cf.file_name(), b":", line.to_string().as_bytes()].concat();
        let unchecked = Unchecked { code: code(), place, is_listed };
        MainConf::of(&cf).unchecked.borrow_mut().push(unchecked);
    }
}

/// `lua_check_files NAME…`: files, and patterns of files.
pub fn add_files(cf: Conf, _main: &MainConf) -> ConfResult {
    if !process::is_configuration_test() {
        return Ok(());
    }
    for index in 1..cf.words().len() {
        let path = cf.full_name(cf.word(index), false)?;
        let path = path.as_bytes();
        let is_pattern = path.iter().any(|byte| b"*?[".contains(byte));
        let paths = if is_pattern { glob::matches(cf, path)? } else { vec![path.to_vec()] };
        for path in paths {
            note(cf, cf.line(), true, || HookCode::File(path));
        }
    }
    Ok(())
}

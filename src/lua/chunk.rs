//! Lua code as the configuration gives it, compiled once per VM.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use super::run::Outcome;
use super::state::{REGISTRY, State};
use super::vm::Vm;
use crate::nginx::core::log::Log;
use crate::nginx::core::strings;
use crate::ngx_debug;

/// A piece of Lua code with its place in the configuration.
pub struct Chunk {
    /// The text or bytecode, where it stands in the configuration itself.
    code: Vec<u8>,
    /// Lua's name for it: `=content_by_lua(nginx.conf:42)`.
    name: CString,
    key: CacheKey,
}

/// A place in the code cache, and where it was found last in the worker's VM.
pub struct CacheKey {
    text: String,
    reference: Cell<i32>,
    /// The function's own reference in the registry of the worker's VM: the short way to it.
    anchor: Cell<i32>,
}

impl CacheKey {
    /// The key of inline code: equal code of one directive is compiled once.
    fn of_code(directive: &str, code: &[u8]) -> CacheKey {
        CacheKey::new(format!("{directive}_nhli_"), code)
    }

    /// The key of a file, by its path as the configuration gives it.
    pub fn of_file(path: &[u8]) -> CacheKey {
        CacheKey::new("nhlf_".to_owned(), path)
    }

    fn new(mut text: String, hashed: &[u8]) -> CacheKey {
        for byte in codec::md5::digest(hashed) {
            text.push_str(&format!("{byte:02x}"));
        }
        CacheKey { text, reference: Cell::new(REFNIL), anchor: Cell::new(REFNIL) }
    }
}

/// "Not looked for yet", as `luaL_ref` would number nil.
const REFNIL: i32 = -1;

/// Why code could not be loaded, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    Inline(Vec<u8>),
    /// The path, and Lua's reason.
    File(Vec<u8>, Vec<u8>),
    /// As [`LoadError::File`], where the file cannot be read; and the system's error number.
    Unreadable(Vec<u8>, Vec<u8>, i32),
}

impl LoadError {
    /// The line for the error log.
    pub fn message(&self) -> Vec<u8> {
        match self {
            LoadError::Inline(reason) => {
                [b"failed to load inlined Lua code: ".as_slice(), reason].concat()
            }
            LoadError::File(path, reason) | LoadError::Unreadable(path, reason, _) => {
                [b"failed to load external Lua file \"".as_slice(), path, b"\": ", reason].concat()
            }
        }
    }

    /// Lua's reason alone.
    pub fn into_reason(self) -> Vec<u8> {
        match self {
            LoadError::Inline(reason)
            | LoadError::File(_, reason)
            | LoadError::Unreadable(_, reason, _) => reason,
        }
    }

    /// The status of a request whose script this is.
    pub fn status(&self) -> isize {
        match self {
            LoadError::Unreadable(_, _, libc::ENOENT) => 404,
            LoadError::Unreadable(..) => 503,
            LoadError::Inline(_) | LoadError::File(..) => 500,
        }
    }
}

impl Chunk {
    /// Inline code; `name` is Lua's name for it, with the directive in front of a parenthesis.
    pub fn new(code: &[u8], name: &[u8]) -> Chunk {
        let name =
            CString::new(name.split(|&b| b == 0).next().unwrap_or_default()).unwrap_or_default();
        let shown = name.to_string_lossy();
        let directive = shown.trim_start_matches('=').split('(').next().unwrap_or_default();
        let key = CacheKey::of_code(directive, code);
        Chunk { code: code.to_vec(), key, name: name.clone() }
    }
}

impl Vm {
    /// Pushes the function of inline code onto the stack of `on`.
    pub fn load_chunk(&self, on: State, chunk: &Chunk, log: Log) -> Result<(), LoadError> {
        self.load_cached(on, &chunk.key, log, || {
            self.compile(&chunk.code, &chunk.name).map_err(LoadError::Inline)
        })
    }

    /// Pushes the function of a file onto the stack of `on`.
    pub fn load_file(
        &self,
        on: State,
        path: &[u8],
        key: &CacheKey,
        log: Log,
    ) -> Result<(), LoadError> {
        self.load_cached(on, key, log, || {
            let code = read_file(path).map_err(|error| {
                let shown = String::from_utf8_lossy(path);
                let reason =
                    format!("cannot open {shown}: {}", strings::strerror(&error)).into_bytes();
                let number = error.raw_os_error().unwrap_or_default();
                LoadError::Unreadable(path.to_vec(), reason, number)
            })?;
            let name = CString::new([b"@".as_slice(), path].concat()).unwrap_or_default();
            self.compile(&code, &name).map_err(|reason| LoadError::File(path.to_vec(), reason))
        })
    }

    /// Pushes a function from the cache, or the one that `compile` leaves on the main stack.
    fn load_cached(
        &self,
        on: State,
        key: &CacheKey,
        log: Log,
        compile: impl FnOnce() -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        // What a directive remembers is of the worker's VM; one of a request's own starts anew.
        let remembered = if self.caches_code { key.reference.get() } else { REFNIL };
        let text = &key.text;
        ngx_debug!(log, "code cache lookup (key='{text}', ref={remembered})");
        if remembered != REFNIL {
            ngx_debug!(log, "code cache hit (key='{text}', ref={remembered})");
            on.raw_get_index(REGISTRY, key.anchor.get());
            return Ok(());
        }
        let known = self.cache.borrow().get(text.as_str()).copied();
        let reference = match known {
            Some(reference) => {
                ngx_debug!(log, "code cache setting ref (key='{text}', ref={reference})");
                ngx_debug!(log, "code cache hit (key='{text}', ref={reference})");
                self.push_cached(reference);
                reference
            }
            None => {
                ngx_debug!(log, "code cache miss (key='{text}', ref={remembered})");
                compile()?;
                let reference = self.cache_top();
                self.cache.borrow_mut().insert(text.clone(), reference);
                reference
            }
        };
        if self.caches_code {
            key.reference.set(reference);
            self.main().push_value(-1);
            key.anchor.set(self.main().new_ref(REGISTRY));
        }
        if on != self.main() {
            self.main().move_to(on, 1);
        }
        Ok(())
    }

    fn push_cached(&self, reference: i32) {
        let state = self.main();
        state.raw_get_index(REGISTRY, self.cache_table);
        state.raw_get_index(-1, reference);
        state.remove(-2);
    }

    /// Gives the function on top a place in the cache; it stays on top.
    fn cache_top(&self) -> i32 {
        let state = self.main();
        state.raw_get_index(REGISTRY, self.cache_table);
        state.push_value(-2);
        let reference = state.new_ref(-2);
        state.pop(1);
        reference
    }

    fn compile(&self, code: &[u8], name: &CStr) -> Result<(), Vec<u8>> {
        let state = self.main();
        match state.load(code, name) {
            Outcome::Done => Ok(()),
            Outcome::Yielded | Outcome::Failed(_) => Err(state.take_error()),
        }
    }
}

/// The file's bytes, without a first line that starts with `#`.
fn read_file(path: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let mut code = std::fs::read(std::ffi::OsStr::from_bytes(path))?;
    if code.first() == Some(&b'#') {
        let line_end = code.iter().position(|&b| b == b'\n').unwrap_or(code.len());
        // The newline stays, so that line numbers are those of the file.
        code.drain(..line_end);
    }
    Ok(code)
}

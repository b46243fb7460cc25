//! Lua code as the configuration gives it, compiled once per VM.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use super::state::{NOREF, Outcome, REGISTRY, State};
use super::vm::Vm;

/// A piece of Lua code with its place in the configuration.
pub struct Chunk {
    /// The text or bytecode, where it stands in the configuration itself.
    code: Vec<u8>,
    /// Lua's name for it: `=content_by_lua(nginx.conf:42)`.
    name: CString,
    /// The compiled function's reference in the worker's VM.
    compiled: Cell<i32>,
}

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
    /// Inline code; `name` is Lua's name for it.
    pub fn new(code: &[u8], name: &[u8]) -> Chunk {
        let name =
            CString::new(name.split(|&b| b == 0).next().unwrap_or_default()).unwrap_or_default();
        Chunk { code: code.to_vec(), name, compiled: Cell::new(NOREF) }
    }
}

impl Vm {
    /// Pushes the function of inline code onto the main coroutine's stack.
    pub fn load_chunk(&self, chunk: &Chunk) -> Result<(), LoadError> {
        if self.caches_code && chunk.compiled.get() != NOREF {
            self.main().raw_get_index(REGISTRY, chunk.compiled.get());
            return Ok(());
        }
        self.compile(&chunk.code, &chunk.name).map_err(LoadError::Inline)?;
        if self.caches_code {
            chunk.compiled.set(self.keep_top());
        }
        Ok(())
    }

    /// Pushes the function of a file onto the main coroutine's stack.
    pub fn load_file(&self, path: &[u8]) -> Result<(), LoadError> {
        let cached = self.files.borrow().get(path).copied();
        if let Some(reference) = cached.filter(|_| self.caches_code) {
            self.main().raw_get_index(REGISTRY, reference);
            return Ok(());
        }
        let failed = |reason: Vec<u8>| LoadError::File(path.to_vec(), reason);
        let code = read_file(path).map_err(|error| {
            let shown = String::from_utf8_lossy(path);
            let reason = format!("cannot open {shown}: {}", strerror(&error)).into_bytes();
            let number = error.raw_os_error().unwrap_or_default();
            LoadError::Unreadable(path.to_vec(), reason, number)
        })?;
        let name = CString::new([b"@".as_slice(), path].concat()).unwrap_or_default();
        self.compile(&code, &name).map_err(failed)?;
        if self.caches_code {
            self.files.borrow_mut().insert(path.to_vec(), self.keep_top());
        }
        Ok(())
    }

    fn compile(&self, code: &[u8], name: &CStr) -> Result<(), Vec<u8>> {
        let state = self.main();
        match state.load(code, name) {
            Outcome::Done => Ok(()),
            Outcome::Yielded | Outcome::Failed(_) => Err(take_reason(state)),
        }
    }

    /// Anchors a copy of the function on top in the registry.
    fn keep_top(&self) -> i32 {
        self.main().push_value(-1);
        self.main().new_ref(REGISTRY)
    }
}

fn take_reason(state: State) -> Vec<u8> {
    let reason = state.bytes(-1).unwrap_or(b"unknown reason").to_vec();
    state.pop(1);
    reason
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

/// The system's words for an error, as C's `strerror` gives them.
fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

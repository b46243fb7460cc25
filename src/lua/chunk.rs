//! Lua code of the configuration, compiled once per VM.

use std::cell::OnceCell;
use std::ffi::{CStr, CString};

use codec::fallible::{self, OutOfMemory, Shown};

use super::reference::{Anchor, Reference};
use super::resty_core;
use super::run::Outcome;
use super::state::State;
use super::vm::Vm;
use crate::nginx::core::log::Log;
use crate::nginx::core::strings;
use crate::ngx_debug;

/// A piece of Lua code with its place in the configuration.
pub struct Chunk {
    /// The source text or bytecode.
    code: Vec<u8>,
    /// Lua's name for it: `=content_by_lua(nginx.conf:42)`.
    name: CString,
    /// What older releases named it: those before a number.
    former_name: Option<(u32, CString)>,
    key: CacheKey,
}

/// A function in the code cache of the worker's VM.
struct Remembered {
    reference: Reference,
    /// Keeps the function in the registry too, for a faster look-up.
    anchor: Anchor,
}

/// A key of the code cache, with what the worker's VM has under it, once it has been looked up there.
pub struct CacheKey {
    text: String,
    /// Whether it is the configuration's: what a key of one call remembers, nobody would give up.
    lasts: bool,
    remembered: OnceCell<Remembered>,
}

impl CacheKey {
    /// The key of inline code: equal code of one directive is compiled once.
    #[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
    fn of_code(directive: &str, code: &[u8]) -> CacheKey {
        CacheKey::new(format!("{directive}_nhli_"), code)
    }

    /// The key of a file, by its path as the configuration gives it.
    #[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
    pub fn of_file(path: &[u8]) -> CacheKey {
        CacheKey::new("nhlf_".to_owned(), path)
    }

    /// As [`CacheKey::of_file`], for one call.
    pub fn of_call(path: &[u8]) -> CacheKey {
        CacheKey { lasts: false, ..CacheKey::of_file(path) }
    }

    #[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
    fn new(mut text: String, hashed: &[u8]) -> CacheKey {
        for byte in codec::md5::digest(hashed) {
            text.push_str(&format!("{byte:02x}"));
        }
        CacheKey { text, lasts: true, remembered: OnceCell::new() }
    }
}

/// What debug lines show for no reference.
const NO_REFERENCE: i32 = -1;

/// Why code could not be loaded, in the C module's words.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Lua's reason.
    Inline(Vec<u8>),
    /// The path, and Lua's reason.
    File(Vec<u8>, Vec<u8>),
    /// As [`LoadError::File`] for a file that cannot be read, with the system's error number.
    Unreadable(Vec<u8>, Vec<u8>, i32),
}

impl LoadError {
    /// The line for the error log.
    pub fn message(&self) -> Vec<u8> {
        match self {
            LoadError::Inline(reason) => joined(&[b"failed to load inlined Lua code: ", reason]),
            LoadError::File(path, reason) | LoadError::Unreadable(path, reason, _) => {
                joined(&[b"failed to load external Lua file \"", path, b"\": ", reason])
            }
        }
    }

    pub(super) fn out_of_memory() -> LoadError {
        LoadError::Inline(fallible::reason(fallible::NOT_ENOUGH))
    }

    /// Whether there was no memory.
    fn is_out_of_memory(&self) -> bool {
        let (LoadError::Inline(reason)
        | LoadError::File(_, reason)
        | LoadError::Unreadable(_, reason, _)) = self;
        reason == fallible::NOT_ENOUGH
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

fn joined(pieces: &[&[u8]]) -> Vec<u8> {
    fallible::concat(pieces).unwrap_or_else(|_| fallible::reason(fallible::NOT_ENOUGH))
}

/// A name for Lua: what is before a NUL.
#[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
fn name_of(bytes: &[u8]) -> CString {
    CString::new(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).unwrap_or_default()
}

impl Chunk {
    /// Inline code; `name` is Lua's name for it: the directive, followed by the place in
    /// parentheses.
    #[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
    pub fn new(code: &[u8], name: &[u8]) -> Chunk {
        let name = name_of(name);
        let shown = name.to_string_lossy();
        let directive = shown.trim_start_matches('=').split('(').next().unwrap_or_default();
        let key = CacheKey::of_code(directive, code);
        Chunk { code: code.to_vec(), key, name, former_name: None }
    }

    /// The same code, which releases before `since` named otherwise.
    pub fn formerly(self, since: u32, name: &[u8]) -> Chunk {
        Chunk { former_name: Some((since, name_of(name))), ..self }
    }

    /// Its name in the release that is presented.
    fn name(&self) -> &CStr {
        match &self.former_name {
            Some((since, name)) if resty_core::presented() < *since => name,
            _ => &self.name,
        }
    }
}

impl Vm {
    /// Pushes the function of inline code onto the stack of `on`.
    #[inline(always)]
    pub fn load_chunk(&self, on: State, chunk: &Chunk, log: Log) -> Result<(), LoadError> {
        self.load_cached(on, &chunk.key, log, |state| {
            self.compile(state, &chunk.code, chunk.name()).map_err(LoadError::Inline)
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
        self.load_cached(on, key, log, |state| self.compile_file(state, path))
    }

    /// Pushes the function of a file, which is not kept.
    pub(super) fn compile_file(&self, state: State, path: &[u8]) -> Result<(), LoadError> {
        let code = read_file(path).map_err(|error| {
            let (shown, why) = (Shown(path), strings::strerror(&error));
            let reason = fallible::text(format_args!("cannot open {shown}: {why}"));
            let number = error.raw_os_error().unwrap_or_default();
            LoadError::Unreadable(fallible::reason(path), reason.into_bytes(), number)
        })?;
        let name = fallible::concat(&[b"@", path]).and_then(|name| fallible::c_string(&name));
        let name = name.map_err(|_| LoadError::out_of_memory())?;
        self.compile(state, &code, &name)
            .map_err(|reason| LoadError::File(fallible::reason(path), reason))
    }

    /// Pushes a function from the cache, or the one that `compile` leaves on the stack.
    #[inline(always)]
    fn load_cached(
        &self,
        on: State,
        key: &CacheKey,
        log: Log,
        compile: impl Fn(State) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        // The reference belongs to the worker's VM; a VM of a request's own looks the code up.
        let remembered = key.remembered.get().filter(|_| self.caches_code);
        let number = || remembered.map_or(NO_REFERENCE, |of| of.reference.number());
        ngx_debug!(log, "code cache lookup (key='{}', ref={})", key.text, number());
        if let Some(Remembered { anchor, .. }) = remembered {
            ngx_debug!(log, "code cache hit (key='{}', ref={})", key.text, number());
            on.push_anchored(anchor);
            return Ok(());
        }
        self.load_by_key(on, key, log, compile)
    }

    /// As [`Vm::load_cached`], for a function whose reference is not remembered.
    #[cold]
    fn load_by_key(
        &self,
        on: State,
        key: &CacheKey,
        log: Log,
        compile: impl Fn(State) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let text = &key.text;
        let known = self.cache.borrow().get(text.as_str()).copied();
        let reference = match known {
            Some(reference) => {
                let number = reference.number();
                ngx_debug!(log, "code cache setting ref (key='{text}', ref={number})");
                ngx_debug!(log, "code cache hit (key='{text}', ref={number})");
                self.push_cached(reference);
                reference
            }
            None => {
                ngx_debug!(log, "code cache miss (key='{text}', ref={NO_REFERENCE})");
                self.load_new(text, &compile).or_else(|error| {
                    if !error.is_out_of_memory() {
                        return Err(error);
                    }
                    // Memory may be full of garbage only, left by what failed before.
                    self.release_memory();
                    self.load_new(text, &compile)
                })?
            }
        };
        if self.caches_code && key.lasts {
            let anchor = self.anchor(reference)?;
            key.remembered.get_or_init(|| Remembered { reference, anchor });
        }
        if on != self.main() {
            self.main().move_to(on, 1);
        }
        Ok(())
    }

    fn push_cached(&self, reference: Reference) {
        let mut state = self.main();
        self.push_cache(state);
        state.push_ref(-1, reference);
        state.remove(-2);
    }

    /// Pushes the table of the code cache.
    fn push_cache(&self, on: State) {
        match &self.cache_table {
            Some(anchor) => on.push_anchored(anchor),
            None => on.push_nil(),
        }
    }

    /// Pushes what `compile` makes, and adds it to the cache.
    fn load_new(
        &self,
        text: &str,
        compile: &impl Fn(State) -> Result<(), LoadError>,
    ) -> Result<Reference, LoadError> {
        let reserve = || self.cache.borrow_mut().try_reserve(1).map_err(OutOfMemory::from);
        let name = reserve().and_then(|()| fallible::format(format_args!("{text}")));
        let name = name.map_err(|_| LoadError::out_of_memory())?;
        let mut loaded = Err(LoadError::out_of_memory());
        let produced = self.main().produce(1, |mut state| {
            loaded = compile(state).map(|()| {
                self.push_cache(state);
                state.push_value(-2);
                let reference = state.new_ref(-2);
                state.pop(1);
                reference
            });
            if loaded.is_err() {
                state.push_nil();
            }
        });
        produced.map_err(LoadError::Inline)?;
        let reference = loaded.inspect_err(|_| self.main().pop(1))?;
        // While it was compiled, a finalizer may have had other code loaded, which took the room.
        if reserve().is_err() {
            self.main().pop(1);
            return Err(LoadError::out_of_memory());
        }
        self.cache.borrow_mut().insert(name, reference);
        Ok(reference)
    }

    /// Keeps a function of the cache in the registry too.
    fn anchor(&self, reference: Reference) -> Result<Anchor, LoadError> {
        let mut anchor = None;
        let made = self.main().protect(|mut state| {
            self.push_cache(state);
            state.push_ref(-1, reference);
            anchor = Some(state.anchor());
        });
        made.map_err(|reason| {
            self.main().pop(1);
            LoadError::Inline(reason)
        })?;
        anchor.ok_or_else(LoadError::out_of_memory)
    }

    fn compile(&self, mut state: State, code: &[u8], name: &CStr) -> Result<(), Vec<u8>> {
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

//! Lua code of the configuration, compiled once per VM.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use codec::fallible::{self, OutOfMemory, Shown};

use super::resty_core;
use super::run::Outcome;
use super::state::{REGISTRY, State};
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

/// A key of the code cache, with the reference under which the worker's VM had it last.
pub struct CacheKey {
    text: String,
    reference: Cell<i32>,
    /// The function's own reference in the registry of the worker's VM, for a faster look-up.
    anchor: Cell<i32>,
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

    #[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
    fn new(mut text: String, hashed: &[u8]) -> CacheKey {
        for byte in codec::md5::digest(hashed) {
            text.push_str(&format!("{byte:02x}"));
        }
        CacheKey { text, reference: Cell::new(REFNIL), anchor: Cell::new(REFNIL) }
    }
}

/// "Not looked up yet": the number that `luaL_ref` gives to nil.
const REFNIL: i32 = -1;

/// Why code could not be loaded, in the C module's words.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
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

    fn out_of_memory() -> LoadError {
        LoadError::Inline(fallible::reason(fallible::NOT_ENOUGH))
    }

    /// Whether memory was out.
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
        self.load_cached(on, key, log, |state| {
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
        })
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
        let remembered = if self.caches_code { key.reference.get() } else { REFNIL };
        let text = &key.text;
        ngx_debug!(log, "code cache lookup (key='{text}', ref={remembered})");
        if remembered != REFNIL {
            ngx_debug!(log, "code cache hit (key='{text}', ref={remembered})");
            on.raw_get_index(REGISTRY, key.anchor.get());
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
                ngx_debug!(log, "code cache setting ref (key='{text}', ref={reference})");
                ngx_debug!(log, "code cache hit (key='{text}', ref={reference})");
                self.push_cached(reference);
                reference
            }
            None => {
                ngx_debug!(log, "code cache miss (key='{text}', ref={REFNIL})");
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
        if self.caches_code {
            key.anchor.set(self.anchor(reference)?);
            key.reference.set(reference);
        }
        if on != self.main() {
            self.main().move_to(on, 1);
        }
        Ok(())
    }

    fn push_cached(&self, reference: i32) {
        let mut state = self.main();
        state.raw_get_index(REGISTRY, self.cache_table);
        state.raw_get_index(-1, reference);
        state.remove(-2);
    }

    /// Pushes what `compile` makes, and adds it to the cache.
    fn load_new(
        &self,
        text: &str,
        compile: &impl Fn(State) -> Result<(), LoadError>,
    ) -> Result<i32, LoadError> {
        let mut cache = self.cache.borrow_mut();
        let room = cache.try_reserve(1).map_err(OutOfMemory::from);
        let name = room.and_then(|()| fallible::format(format_args!("{text}")));
        let name = name.map_err(|_| LoadError::out_of_memory())?;
        let mut loaded = Err(LoadError::out_of_memory());
        let produced = self.main().produce(1, |mut state| {
            loaded = compile(state).map(|()| {
                state.raw_get_index(REGISTRY, self.cache_table);
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
        cache.insert(name, reference);
        Ok(reference)
    }

    /// A reference in the registry to a function of the cache.
    fn anchor(&self, reference: i32) -> Result<i32, LoadError> {
        let mut anchor = REFNIL;
        let made = self.main().protect(|mut state| {
            state.raw_get_index(REGISTRY, self.cache_table);
            state.raw_get_index(-1, reference);
            anchor = state.new_ref(REGISTRY);
        });
        made.map_err(|reason| {
            self.main().pop(1);
            LoadError::Inline(reason)
        })?;
        Ok(anchor)
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

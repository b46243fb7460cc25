//! `lua_code_cache stat`: the code of a VM that follows the files that it comes from, by `lua/code_watch.lua`.

use std::cell::Cell;
use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use codec::fallible;

use super::chunk::LoadError;
use super::function::{LuaResult, Returns, wrap};
use super::openresty;
use super::reference::Anchor;
use super::registry::REQUIRE_HOOK;
use super::run::Outcome;
use super::state::State;
use super::vm::Vm;
use crate::nginx::core::log::log_cycle;
use crate::nginx::core::time;
use crate::nginx::{Level, Request};

/// For how many milliseconds what a look at the files has shown is taken for granted.
const INTERVAL: usize = 100;

/// The functions that the Lua code returns.
pub struct Watch {
    begin: Anchor,
    finish: Anchor,
    find: Anchor,
    keep: Anchor,
    /// When the next look at the files is due, by nginx's monotonic clock.
    next_look: Cell<usize>,
}

/// What the Lua code knows a request by: subrequests are part of their main request.
#[derive(Clone, Copy)]
pub struct CodeKey(*mut c_void);

impl CodeKey {
    pub fn of(request: Request) -> CodeKey {
        CodeKey(request.main().as_ptr().cast())
    }

    fn push(self, state: State) {
        state.push_light_userdata(self.0);
    }
}

impl Vm {
    /// Has the VM's code watched. To be called when the VM is made; a failure is logged.
    pub fn watch_code(&self) {
        let mut made = None;
        let result = self.main().protect(|mut state| {
            let code = include_bytes!("../../lua/code_watch.lua");
            if state.load(code, c"=code_watch") != Outcome::Done {
                return;
            }
            state.push_registered(REQUIRE_HOOK);
            for function in [wrap(stat), wrap(running_request), wrap(log)] {
                state.push_function(function);
            }
            state.call_raising(4, 4);
            let (keep, find) = (state.anchor(), state.anchor());
            let (finish, begin) = (state.anchor(), state.anchor());
            made = Some(Watch { begin, finish, find, keep, next_look: Cell::new(0) });
        });
        match (result, made) {
            (Ok(()), Some(watch)) => {
                let _ = self.watch.set(watch);
            }
            (Err(reason), _) => log_cycle(Level::Alert, &reason),
            (Ok(()), None) => log_cycle(Level::Alert, fallible::NO_MEMORY.as_bytes()),
        }
    }

    /// Whether the VM's code is watched.
    #[inline(always)]
    pub fn is_watched(&self) -> bool {
        self.watch.get().is_some()
    }

    /// A request begins to run code: it is pinned to the current version of the code. If it
    /// `looks`, code that has changed is loaded first. Returns whether [`Vm::finish_watched`] has
    /// to be called when the request ends; an error is Lua's.
    pub fn begin_watched(&self, request: Request, looks: bool) -> Result<bool, Vec<u8>> {
        let Some(watch) = self.watch.get() else { return Ok(false) };
        let now = time::monotonic_milliseconds();
        let looks = looks && now >= watch.next_look.get();
        if looks {
            watch.next_look.set(now + INTERVAL);
        }
        let mut state = self.main();
        state.produce(1, |mut state| {
            state.push_anchored(&watch.begin);
            CodeKey::of(request).push(state);
            state.push_bool(looks);
            state.call_raising(2, 1);
        })?;
        let begins = state.boolean(-1);
        state.pop(1);
        Ok(begins)
    }

    /// The main request with that key has ended.
    pub fn finish_watched(&self, key: CodeKey) {
        let Some(watch) = self.watch.get() else { return };
        let result = self.main().protect(|mut state| {
            state.push_anchored(&watch.finish);
            key.push(state);
            state.call_raising(1, 0);
        });
        if let Err(reason) = result {
            log_cycle(Level::Alert, &reason);
        }
    }

    /// Pushes the function of a file that is watched, as `request` is to see it, onto the stack of `on`.
    pub fn load_watched(&self, on: State, path: &[u8], request: Request) -> Result<(), LoadError> {
        let Some(watch) = self.watch.get() else { return Err(LoadError::out_of_memory()) };
        let mut main = self.main();
        main.produce(1, |mut state| {
            state.push_anchored(&watch.find);
            state.push_bytes(path);
            CodeKey::of(request).push(state);
            state.call_raising(2, 1);
        })
        .map_err(LoadError::Inline)?;
        if main.is_nil_or_none(-1) {
            main.pop(1);
            self.load_unknown(watch, path)?;
        }
        if on != main {
            main.move_to(on, 1);
        }
        Ok(())
    }

    /// Pushes the function of a file onto the main stack, and keeps it.
    fn load_unknown(&self, watch: &Watch, path: &[u8]) -> Result<(), LoadError> {
        let stamp = stamp_of(path);
        let mut compiled = Err(LoadError::out_of_memory());
        let made = self.main().produce(1, |mut state| {
            compiled = self.compile_file(state, path);
            if compiled.is_err() {
                return state.push_nil();
            }
            let Some(stamp) = &stamp else { return };
            state.push_anchored(&watch.keep);
            state.push_bytes(path);
            state.push_str(stamp);
            state.push_value(-4);
            state.call_raising(3, 0);
        });
        made.map_err(LoadError::Inline)?;
        compiled.inspect_err(|_| self.main().pop(1))
    }
}

/// What the file at `path` is like: a text that is another one once the file has changed. `None` without a file,
/// and for what is no file with code: to open a named pipe would wait for who writes to it.
fn stamp_of(path: &[u8]) -> Option<String> {
    let file = std::fs::metadata(OsStr::from_bytes(path)).ok().filter(|file| file.is_file())?;
    fallible::format(format_args!(
        "{}:{}:{}:{}.{}:{}.{}",
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec()
    ))
    .ok()
}

/// `(path)`: what the file is like, or nothing.
fn stat(state: State) -> LuaResult {
    let Some(stamp) = stamp_of(state.check_bytes(1)?) else { return Ok(Returns::Values(0)) };
    state.push_str(&stamp);
    Ok(Returns::Values(1))
}

/// `()`: the key of the main request of the running code, or nothing.
fn running_request(state: State) -> LuaResult {
    let Some(request) = openresty::running_request(state) else { return Ok(Returns::Values(0)) };
    CodeKey::of(request).push(state);
    Ok(Returns::Values(1))
}

/// `(is_error, text)`.
fn log(state: State) -> LuaResult {
    let level = if state.boolean(1) { Level::Err } else { Level::Notice };
    log_cycle(level, state.check_bytes(2)?);
    Ok(Returns::Values(0))
}

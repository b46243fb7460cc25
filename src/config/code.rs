//! Lua code of a directive: inline, or in a file whose path may contain variables.

use std::rc::Rc;

use super::phases::{INDEXES, Phase};
use crate::lua::chunk::{CacheKey, Chunk, LoadError};
use crate::lua::{State, Vm};
use crate::nginx::Request;
use crate::nginx::core::conf;
use crate::nginx::core::log::cycle_log;
use crate::nginx::http::complex_value::ComplexValue;

/// The code of one `*_by_lua*` directive.
pub enum Script {
    Inline(Chunk),
    /// The path, and its key in the code cache if the path is the same for every request.
    File(ComplexValue, Option<CacheKey>),
    /// An absolute path without variables.
    FixedFile(Vec<u8>, CacheKey),
}

/// Why a script has no function to run.
pub enum ScriptError {
    Load(LoadError),
    /// A variable of the path could not be evaluated, or there is no memory.
    Path,
}

impl Script {
    /// The script in the file that `path` names, as the configuration writes it.
    pub fn file(path: ComplexValue, written: &[u8]) -> Script {
        let key = path.is_constant().then(|| CacheKey::of_file(written));
        Script::File(path, key)
    }

    /// The script in the file at the absolute path `full`, which the configuration writes as
    /// `written`.
    pub fn fixed_file(full: &[u8], written: &[u8]) -> Script {
        Script::FixedFile(full.to_vec(), CacheKey::of_file(written))
    }

    /// Pushes the script's function onto the stack of `on`, a coroutine of `vm`.
    #[inline(always)]
    pub fn load(&self, vm: &Vm, on: State, request: Request) -> Result<(), ScriptError> {
        match self {
            Script::Inline(chunk) => {
                vm.load_chunk(on, chunk, request.log()).map_err(ScriptError::Load)
            }
            Script::FixedFile(path, key) if !vm.is_watched() => {
                vm.load_file(on, path, key, request.log()).map_err(ScriptError::Load)
            }
            Script::FixedFile(path, _) => {
                vm.load_watched(on, path, request).map_err(ScriptError::Load)
            }
            Script::File(path, key) => load_file(path, key.as_ref(), vm, on, request),
        }
    }
}

/// Pushes the function of the file at `path` onto the stack of `on`.
#[inline(never)]
fn load_file(
    path: &ComplexValue,
    key: Option<&CacheKey>,
    vm: &Vm,
    on: State,
    request: Request,
) -> Result<(), ScriptError> {
    let path = path.evaluate(request).ok_or(ScriptError::Path)?;
    let path = path.bytes();
    let full = conf::below_prefix(request.pool(), path).ok_or(ScriptError::Path)?;
    match key {
        _ if vm.is_watched() => vm.load_watched(on, full.bytes(), request),
        Some(key) => vm.load_file(on, full.bytes(), key, request.log()),
        None => vm.load_file(on, full.bytes(), &CacheKey::of_call(path), request.log()),
    }
    .map_err(ScriptError::Load)
}

/// The code of `set_by_lua*`, with the directive's further arguments.
pub struct SetScript {
    pub script: Script,
    pub arguments: Vec<ComplexValue>,
}

/// The code of a directive of the `http` block that runs once per process.
pub struct HookScript {
    /// The directive, as errors name it.
    pub name: &'static str,
    pub code: HookCode,
}

/// Code that depends on no request.
pub enum HookCode {
    Inline(Chunk),
    /// An absolute path.
    File(Vec<u8>),
}

impl HookCode {
    /// Pushes its function onto the stack of `on`, a coroutine of `vm`.
    pub fn load(&self, vm: &Vm, on: State) -> Result<(), LoadError> {
        match self {
            HookCode::Inline(chunk) => vm.load_chunk(on, chunk, cycle_log()),
            HookCode::File(path) => vm.load_file(on, path, &CacheKey::of_call(path), cycle_log()),
        }
    }
}

impl HookScript {
    /// Pushes the script's function onto the stack of `on`, a coroutine of `vm`, or gives Lua's
    /// reason why not.
    pub fn load(&self, vm: &Vm, on: State) -> Result<(), Vec<u8>> {
        self.code.load(vm, on).map_err(LoadError::into_reason)
    }
}

/// A script as locations share it when one inherits from the other.
pub type SharedScript = Rc<Script>;

/// The scripts that one block has, or inherits: one at most for each phase.
#[derive(Clone, Default)]
pub struct Scripts([Option<SharedScript>; INDEXES]);

impl Scripts {
    /// The code of `phase`.
    #[inline(always)]
    pub fn get(&self, phase: Phase) -> Option<&SharedScript> {
        self.0.get(phase.index()).and_then(Option::as_ref)
    }

    /// Keeps the code of `phase`.
    pub fn set(&mut self, phase: Phase, script: SharedScript) {
        if let Some(slot) = self.0.get_mut(phase.index()) {
            *slot = Some(script);
        }
    }

    /// These scripts; for phases without one, those of `outer`.
    pub fn over(&self, outer: &Scripts) -> Scripts {
        let mut merged = self.clone();
        for (slot, outer) in merged.0.iter_mut().zip(&outer.0) {
            if slot.is_none() {
                slot.clone_from(outer);
            }
        }
        merged
    }
}

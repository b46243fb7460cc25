//! Lua code that a directive names: inline, or in a file whose path may hold variables.

use std::rc::Rc;

use crate::lua::Vm;
use crate::lua::chunk::{Chunk, LoadError};
use crate::nginx::complex_value::ComplexValue;
use crate::nginx::{Request, conf};

/// The code of one `*_by_lua*` directive.
pub enum Script {
    Inline(Chunk),
    File(ComplexValue),
}

/// Why a script has no function to run.
pub enum ScriptError {
    Load(LoadError),
    /// A variable of the path could not be evaluated, or there is no memory.
    Path,
}

impl Script {
    /// Pushes the script's function onto the VM's main stack.
    pub fn load(&self, vm: &Vm, request: Request) -> Result<(), ScriptError> {
        match self {
            Script::Inline(chunk) => vm.load_chunk(chunk).map_err(ScriptError::Load),
            Script::File(path) => {
                let path = path.evaluate(request).ok_or(ScriptError::Path)?;
                let path = conf::below_prefix(request.pool(), path).ok_or(ScriptError::Path)?;
                vm.load_file(path).map_err(ScriptError::Load)
            }
        }
    }
}

/// The code of a directive of the `http` block that runs once per process.
pub struct HookScript {
    /// The directive, as errors name it.
    pub name: &'static str,
    pub code: HookCode,
}

/// Where it is.
pub enum HookCode {
    Inline(Chunk),
    /// An absolute path.
    File(Vec<u8>),
}

impl HookScript {
    /// Pushes the script's function onto the VM's main stack, or gives Lua's reason why not.
    pub fn load(&self, vm: &Vm) -> Result<(), Vec<u8>> {
        let loaded = match &self.code {
            HookCode::Inline(chunk) => vm.load_chunk(chunk),
            HookCode::File(path) => vm.load_file(path),
        };
        loaded.map_err(LoadError::into_reason)
    }
}

/// A script as locations share it when one inherits from the other.
pub type SharedScript = Rc<Script>;

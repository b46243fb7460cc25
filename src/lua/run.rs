//! Running code: protected calls, resumes, and errors that leave a function.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

use mlua::ffi;

use super::error::{Fault, LuaError};
use super::function::{CFunction, stop_panics};
use super::registry;
use super::state::{MULTRET, State};
use super::sys::luaL_traceback;

/// How a protected call or a resume ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    Yielded,
    /// The error value is on top of the stack.
    Failed(LuaFailure),
}

/// Lua's kinds of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LuaFailure {
    Runtime,
    Syntax,
    Memory,
    Handler,
}

impl LuaFailure {
    #[cold]
    #[inline(never)]
    fn from_status(status: c_int) -> LuaFailure {
        match status {
            ffi::LUA_ERRSYNTAX => LuaFailure::Syntax,
            ffi::LUA_ERRMEM => LuaFailure::Memory,
            ffi::LUA_ERRERR => LuaFailure::Handler,
            _ => LuaFailure::Runtime,
        }
    }
}

impl State {
    /// Calls the function below its `arguments`, in protected mode.
    ///
    /// `handler` is the stack index of a message handler, 0 for none.
    pub fn call(&mut self, arguments: i32, results: i32, handler: i32) -> Outcome {
        self.check_call(arguments, results);
        let handler = if handler == 0 { 0 } else { self.slot(handler) };
        // SAFETY: the function and its arguments are on the stack, and so is the handler.
        match unsafe { ffi::lua_pcall(self.as_ptr(), arguments, results, handler) } {
            0 => Outcome::Done,
            status => Outcome::Failed(LuaFailure::from_status(status)),
        }
    }

    /// As [`State::call`], but errors are raised: only for code that runs in a protected call.
    pub fn call_raising(&mut self, arguments: i32, results: i32) {
        self.check_call(arguments, results);
        // SAFETY: the function and its arguments are on the stack; the frames between here and the
        // protected call let Lua errors pass.
        unsafe { ffi::lua_call(self.as_ptr(), arguments, results) }
    }

    /// Requires a function with its `arguments`, and a number of results.
    #[inline(always)]
    fn check_call(self, arguments: i32, results: i32) {
        self.held(arguments);
        self.held(arguments + 1);
        debug_assert!(results >= MULTRET, "a number of results");
    }

    /// Starts or continues a coroutine with the top `arguments` values.
    pub fn resume(&mut self, arguments: i32) -> Outcome {
        self.held(arguments);
        // SAFETY: the arguments are on the stack, and so is the function of a new coroutine. One that cannot
        // be resumed gives an error; so does one that has ended: LuaJIT finds nil in the function's place.
        let status = unsafe { ffi::lua_resume_(self.as_ptr(), arguments) };
        if status == ffi::LUA_YIELD {
            return Outcome::Yielded;
        }
        if status == 0 { Outcome::Done } else { Outcome::Failed(LuaFailure::from_status(status)) }
    }

    /// Compiles a chunk (text or bytecode) and pushes the function, or the error.
    pub fn load(self, code: &[u8], name: &CStr) -> Outcome {
        // SAFETY: Lua reads `code` and the name during the call only.
        let status = unsafe {
            ffi::luaL_loadbuffer(self.as_ptr(), code.as_ptr().cast(), code.len(), name.as_ptr())
        };
        match status {
            0 => Outcome::Done,
            status => Outcome::Failed(LuaFailure::from_status(status)),
        }
    }

    /// Prepares a new VM for [`State::protect`], [`State::produce`] and
    /// [`State::push_traceback_handler`]; fails without memory.
    pub fn prepare(mut self) -> Result<(), Vec<u8>> {
        /// # Safety
        /// Only Lua may call this, with the running coroutine.
        unsafe extern "C-unwind" fn entry(state: *mut ffi::lua_State) -> c_int {
            // SAFETY: runs in protected mode on a live VM. Lua code does not see the function, which `produce`
            // alone takes out of the registry.
            unsafe {
                registry::fill(State::from_ptr(state), CFunction::new(run_protected));
            }
            0
        }
        // SAFETY: a live VM; the function takes no data.
        match unsafe { ffi::lua_cpcall(self.as_ptr(), entry, null_mut()) } {
            0 => Ok(()),
            _ => Err(self.take_error()),
        }
    }

    /// Runs `work`, which may raise, for code that Lua did not call; returns an error as bytes.
    ///
    /// For nginx's callbacks that must change a stack (anchoring values, pushing results).
    pub fn protect<F: FnOnce(State)>(self, work: F) -> Result<(), Vec<u8>> {
        self.produce(0, work)
    }

    /// As [`State::protect`], for work that leaves `results` values on the stack.
    pub fn produce<F: FnOnce(State)>(mut self, results: i32, work: F) -> Result<(), Vec<u8>> {
        /// # Safety
        /// `slot` must point to an `Option<F>` that nothing else uses.
        unsafe fn run<F: FnOnce(State)>(slot: *mut c_void, state: State) {
            // SAFETY: `slot` points to an `Option<F>`, the contract of this function.
            if let Some(work) = unsafe { &mut *slot.cast::<Option<F>>() }.take() {
                work(state);
            }
        }
        let mut slot = Some(work);
        let work = Work { run: run::<F>, slot: (&raw mut slot).cast() };
        self.push_registered(registry::PROTECTED);
        self.push_light_userdata(std::ptr::from_ref(&work).cast_mut().cast());
        match self.call(1, results, 0) {
            Outcome::Done => Ok(()),
            Outcome::Yielded | Outcome::Failed(_) => Err(self.take_error()),
        }
    }

    /// Raises `error`, for a function that Lua called: the frames up to LuaJIT's are unwound, and what they hold
    /// is dropped. Outside of any protected call, the process ends.
    pub fn raise(self, error: LuaError) -> ! {
        // SAFETY: called from a C function that Lua called, as its last act. The texts are pushed
        // before they are dropped, and dropped before lua_error leaves.
        unsafe {
            match error.into_fault() {
                Fault::OnStack => {
                    self.held(1);
                }
                Fault::Text(text) => self.push_located(text.as_bytes()),
                Fault::Bytes(text) => self.push_located(&text),
                Fault::Argument(position, text) => self.raise_argument(position, &text),
                Fault::Type(position, expected) => {
                    ffi::luaL_typerror(self.as_ptr(), position, expected.as_ptr());
                }
            }
            ffi::lua_error(self.as_ptr())
        }
    }

    /// Pushes `WHERE: text`, with the position of the Lua code that called the running function.
    fn push_located(self, text: &[u8]) {
        // SAFETY: a live state.
        unsafe {
            ffi::luaL_where(self.as_ptr(), 1);
            self.push_bytes(text);
            ffi::lua_concat(self.as_ptr(), 2);
        }
    }

    /// # Safety
    /// As for [`State::raise`]: only as the last act of a function that Lua called.
    unsafe fn raise_argument(self, position: i32, text: &str) {
        // The text is moved to Lua's stack, so that nothing is left to drop when luaL_argerror
        // raises.
        self.push_str(text);
        // SAFETY: the string on the stack is NUL-terminated by Lua.
        unsafe {
            ffi::luaL_argerror(self.as_ptr(), position, ffi::lua_tostring(self.as_ptr(), -1));
        }
    }

    /// Pushes a traceback of `of`, in Lua's format.
    pub fn push_traceback(self, of: State, message: Option<&CStr>, level: i32) {
        // SAFETY: two coroutines of one VM.
        unsafe {
            let message = message.map_or(std::ptr::null(), CStr::as_ptr);
            luaL_traceback(self.as_ptr(), of.as_ptr(), message, level);
        }
    }
}

/// What [`State::produce`] runs.
struct Work {
    run: unsafe fn(*mut c_void, State),
    slot: *mut c_void,
}

/// The one C function that runs any [`Work`], so that no closure must be made for each.
///
/// # Safety
/// Only Lua may call this, with the running coroutine.
unsafe extern "C-unwind" fn run_protected(state: *mut ffi::lua_State) -> c_int {
    /// # Safety
    /// Only Lua may call this, with the running coroutine.
    unsafe extern "C-unwind" fn run(state: *mut ffi::lua_State) -> c_int {
        // SAFETY: `produce` passes its Work, which outlives the call, as the only argument.
        unsafe {
            let work = ffi::lua_touserdata(state, 1).cast::<Work>();
            ffi::lua_settop(state, 0);
            ((*work).run)((*work).slot, State::from_ptr(state));
            ffi::lua_gettop(state)
        }
    }
    // SAFETY: Lua passes the running coroutine.
    unsafe { stop_panics(state, run) }
}

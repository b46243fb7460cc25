//! One Lua VM: made with the libraries, the `ngx` API and lua-resty-core in it, closed on drop.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null;
use std::rc::Rc;

use codec::fallible::Shown;
use mlua::ffi;

use super::CFunction;
use super::code_watch::Watch;
use super::error::LuaError;
use super::error_value;
use super::jit;
use super::kind::Kind;
use super::limit::Limit;
use super::memory::Collection;
use super::openresty;
use super::package_paths::{path_of, set_package_paths};
use super::reference::{Anchor, Reference, Thread, ThreadAnchor, ThreadNumbers};
use super::resty_core::Release;
use super::run::Outcome;
use super::state::{GLOBALS, State};
use crate::nginx::Level;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::log;
use crate::nginx::core::log::Log;
use crate::nginx::core::memory_reserve;
use crate::ngx_debug;

/// What a new VM is made of.
pub struct Recipe<'a> {
    /// `package.path` and `package.cpath` as `lua_package_path` and `lua_package_cpath` set them,
    /// with `;;` for the default and `$prefix` for nginx's prefix.
    pub package_path: Option<&'a [u8]>,
    pub package_cpath: Option<&'a [u8]>,
    /// nginx's prefix, with its slash.
    pub prefix: &'a [u8],
    /// The VM whose `package.path` and `package.cpath` are copied instead.
    pub parent: Option<&'a Vm>,
    /// Fills the globals: the `ngx` table and what goes with it.
    pub inject: &'a dyn Fn(State),
    /// Adds what needs lua-resty-core.
    pub complete: &'a dyn Fn(State),
    pub global_writes: GlobalWrites,
    /// What its Lua objects may take together, in bytes.
    pub max_memory: Option<usize>,
    /// Loaders of other modules, put into `package.preload`.
    pub preload: &'a [(std::ffi::CString, CFunction)],
}

/// What becomes of code that writes a new global variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GlobalWrites {
    /// A line with a traceback, each time.
    #[default]
    Traced,
    Allowed,
    /// A line for each place, once.
    Warned,
    Refused,
}

/// Why a VM could not be made.
#[derive(Debug)]
pub enum VmError {
    /// LuaJIT could not allocate one.
    NoMemory,
    /// Lua failed while the VM was set up.
    Setup(Vec<u8>),
    /// lua-resty-core could not be loaded; the text is Lua's reason.
    RestyCore(Vec<u8>),
}

/// A Lua VM.
pub struct Vm {
    main: State,
    thread_numbers: ThreadNumbers,
    /// Coroutines that ended and may run again.
    idle_threads: FreeList<Thread>,
    /// One more, for code of filters, which most often ends without a wait: while it is here, nothing of
    /// it must be reset.
    filter_thread: Cell<Option<Thread>>,
    /// The table of the main coroutine's globals, when a coroutine was last reset to it; null before.
    globals: Cell<*const c_void>,
    /// The code cache: a table, and the references in that table by key.
    pub(super) cache_table: Option<Anchor>,
    pub(super) cache: RefCell<HashMap<String, Reference>>,
    /// How many values of [`Owner`] there are for this VM.
    owners: Cell<usize>,
    /// Whether compiled chunks are kept: true for the worker's own VM.
    pub(super) caches_code: bool,
    pub(super) collection: Collection,
    limit: Option<Box<Limit>>,
    release: Release,
    /// What `lua_code_cache stat` needs.
    pub(super) watch: OnceCell<Watch>,
}

impl Vm {
    /// Makes a VM by `recipe`. `caches_code` is false for a request's own VM (`lua_code_cache
    /// off`).
    pub fn new(recipe: &Recipe, caches_code: bool) -> Result<Vm, VmError> {
        let vm = Vm::bare(recipe, caches_code)?;
        openresty::inject_request(vm.main).map_err(VmError::Setup)?;
        // Its symbols are asked while it loads.
        vm.release.present();
        vm.load_core()?;
        vm.protect(|state| (recipe.complete)(state)).map_err(VmError::Setup)?;
        vm.install_global_write_guard(recipe.global_writes);
        Ok(vm)
    }

    /// A VM with no more of lua-resty-core than `modules`.
    pub(super) fn plain(recipe: &Recipe, modules: &[&str]) -> Result<Vm, VmError> {
        let vm = Vm::bare(recipe, false)?;
        modules.iter().try_for_each(|module| vm.require(module))?;
        Ok(vm)
    }

    fn bare(recipe: &Recipe, caches_code: bool) -> Result<Vm, VmError> {
        memory_reserve::keep();
        // SAFETY: no arguments; null is checked.
        let state = unsafe { ffi::luaL_newstate() };
        if state.is_null() {
            return Err(VmError::NoMemory);
        }
        // SAFETY: a fresh VM that only this value owns.
        let main = unsafe { State::from_ptr(state) };
        let mut vm = Vm {
            main,
            thread_numbers: ThreadNumbers::new(),
            idle_threads: FreeList::new(0),
            filter_thread: Cell::default(),
            globals: Cell::new(null()),
            cache_table: None,
            collection: Collection::default(),
            // SAFETY: dropping the VM removes the limit.
            limit: recipe.max_memory.map(|max| unsafe { Limit::install(main, max) }),
            cache: RefCell::default(),
            owners: Cell::new(0),
            caches_code,
            release: Release::default(),
            watch: OnceCell::new(),
        };
        // SAFETY: a live VM; the handler never returns to Lua.
        unsafe { ffi::lua_atpanic(state, at_panic) };
        main.prepare().map_err(VmError::Setup)?;
        vm.protect(|state| {
            // SAFETY: runs in protected mode on a live VM.
            unsafe { ffi::luaL_openlibs(state.as_ptr()) };
            error_value::install(state);
            jit::turn_off_where_forbidden(state);
            set_package_paths(state, recipe);
        })
        .map_err(VmError::Setup)?;
        openresty::inject_libraries(main).map_err(VmError::Setup)?;
        vm.release = Release::wanted_on(&vm.package_field(c"path").map_err(VmError::Setup)?);
        vm.protect(|state| {
            vm.release.note_in(state);
            (recipe.inject)(state);
            vm.release.set_in(state);
            set_preload(state, recipe.preload);
        })
        .map_err(VmError::Setup)?;
        vm.main.produce(1, |state| state.new_table(0, 0)).map_err(VmError::Setup)?;
        vm.cache_table = Some(vm.main.anchor());
        Ok(vm)
    }

    /// The release of this module that it presents to lua-resty-core.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Has the event loop collect the garbage before it meets the limit of the memory. Only for a VM of this
    /// thread, in a process with an event loop.
    pub fn collect_in_time(&self) {
        if let Some(limit) = &self.limit {
            limit.collect_in_time(self.main);
        }
    }

    /// Whether the limit of the memory has come near since the last call; for a VM that the event loop does not
    /// collect the garbage of.
    pub(super) fn takes_passed_mark(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.takes_passed())
    }

    /// The main coroutine, on which phases run that cannot yield.
    pub fn main(&self) -> State {
        self.main
    }

    /// Whether this is the worker's own VM, which keeps what it compiles.
    pub fn caches_code(&self) -> bool {
        self.caches_code
    }

    /// Adds a loader to `package.preload`; fails with Lua's reason without memory.
    #[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
    pub fn add_preload(&self, package: &CStr, loader: CFunction) -> Result<(), Vec<u8>> {
        let entry = [(package.to_owned(), loader)];
        self.protect(move |state| set_preload(state, &entry))
    }

    /// Turns the JIT compiler of this VM off, because the system has come to forbid executing
    /// written memory.
    pub fn stop_compiling(&self) -> Result<(), Vec<u8>> {
        self.protect(jit::turn_off_where_forbidden)
    }

    pub fn set_max_idle_threads(&self, max: usize) {
        self.idle_threads.set_max(max);
    }

    fn protect<F: FnOnce(State)>(&self, work: F) -> Result<(), Vec<u8>> {
        self.main.protect(work)
    }

    fn load_core(&self) -> Result<(), VmError> {
        let result = self.protect(|mut state| {
            let code = include_bytes!("../../lua/load_core.lua");
            if state.load(code, c"=load resty.core") != Outcome::Done {
                state.raise(LuaError::on_stack());
            }
            state.call_raising(0, 0);
        });
        self.loaded(result)
    }

    fn require(&self, module: &str) -> Result<(), VmError> {
        let result = self.protect(|mut state| {
            state.get_field(GLOBALS, c"require");
            state.push_str(module);
            state.call_raising(1, 0);
        });
        self.loaded(result)
    }

    /// Whether a part of lua-resty-core has been loaded.
    fn loaded(&self, result: Result<(), Vec<u8>>) -> Result<(), VmError> {
        result.map_err(|reason| VmError::RestyCore(self.with_release(reason)))
    }

    /// `package.path` or `package.cpath`. An error is Lua's, where code has replaced the table; it is caught here, in
    /// this VM.
    pub(super) fn package_field(&self, field: &CStr) -> Result<Vec<u8>, Vec<u8>> {
        let mut path = Vec::new();
        self.protect(|mut state| {
            state.get_field(GLOBALS, c"package");
            path = path_of(state, field);
            state.pop(1);
        })?;
        Ok(path)
    }

    /// Why lua-resty-core failed to load; if it is of another release, with a remark on that.
    #[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
    fn with_release(&self, mut reason: Vec<u8>) -> Vec<u8> {
        if let Some(notice) = self.release.notice() {
            reason.extend_from_slice(b"; ");
            reason.extend_from_slice(notice.as_bytes());
        }
        reason
    }

    /// Has new globals logged or refused from now on; lua-resty-core has set its own before.
    fn install_global_write_guard(&self, mode: GlobalWrites) {
        let code = include_bytes!("../../lua/global_write_guard.lua");
        let mode = match mode {
            GlobalWrites::Traced => None,
            GlobalWrites::Warned => Some("warn"),
            GlobalWrites::Refused => Some("error"),
            GlobalWrites::Allowed => return,
        };
        self.run_own(code, c"=_G write guard", |state| match mode {
            Some(mode) => state.push_str(mode),
            None => state.push_nil(),
        });
    }

    /// Has the functions called for each cycle of the garbage collector, each trace that is compiled, each
    /// that is given up, and each time that all are dropped.
    pub fn tell_of_events(&self, functions: [CFunction; 4]) {
        self.run_own(include_bytes!("../../lua/vm_events.lua"), c"=VM events", |state| {
            functions.iter().for_each(|function| state.push_function(*function));
        });
    }

    /// Runs code that comes with the module, with the arguments that `push` pushes; logs a failure.
    fn run_own(&self, code: &[u8], name: &CStr, push: impl FnOnce(State)) {
        let result = self.protect(|mut state| {
            if state.load(code, name) != Outcome::Done {
                state.raise(LuaError::on_stack());
            }
            push(state);
            state.call_raising(state.top() - 1, 0);
        });
        if let Err(reason) = result {
            let reason = Shown(&reason);
            crate::ngx_log!(log::cycle_log(), Level::Err, "failed to run Lua code: {reason}");
        }
    }

    /// A coroutine anchored in the registry, fresh or recycled.
    #[inline(always)]
    pub fn take_thread(&self, log: Log) -> Result<Thread, Vec<u8>> {
        ngx_debug!(log, "lua creating new thread");
        if let Some(thread) = self.idle_threads.take() {
            ngx_debug!(log, "lua reusing cached lua thread {}", thread.shown());
            return Ok(thread);
        }
        self.new_thread()
    }

    #[cold]
    fn new_thread(&self) -> Result<Thread, Vec<u8>> {
        let mut made = None;
        self.protect(|mut state| {
            let thread = state.new_thread();
            made = Some(Thread { state: thread, anchor: self.anchor_thread(&mut state) });
        })?;
        made.ok_or_else(|| b"no coroutine".into())
    }

    /// Pops the coroutine on top of `on`, a stack of this VM, and keeps it; raises without memory.
    pub fn anchor_thread(&self, on: &mut State) -> ThreadAnchor {
        self.thread_numbers.anchor(on)
    }

    /// Gives up a coroutine, which may be garbage then.
    pub fn release_thread(&self, thread: Thread) {
        self.thread_numbers.release(self.main, thread.anchor);
    }

    /// A coroutine for the code of a filter, to be given back by [`Vm::keep_filter_thread`] if the code has
    /// ended without an error.
    #[inline(always)]
    pub fn take_filter_thread(&self, log: Log) -> Result<Thread, Vec<u8>> {
        match self.filter_thread.take() {
            Some(thread) => Ok(thread),
            None => self.take_thread(log),
        }
    }

    /// Takes back what [`Vm::take_filter_thread`] gave.
    #[inline(always)]
    pub fn keep_filter_thread(&self, mut thread: Thread, log: Log) {
        thread.state.set_top(0);
        if let Some(other) = self.filter_thread.replace(Some(thread)) {
            self.give_back_thread(other, true, log);
        }
    }

    /// Returns a coroutine: it is kept for the next request, or left to the garbage collector.
    ///
    /// Only coroutines that Lua code never saw (entry threads) may be recycled. One that failed is
    /// not recycled: if its stack has overflowed, LuaJIT would not let it grow again.
    #[inline(always)]
    pub fn give_back_thread(&self, thread: Thread, recycle: bool, log: Log) {
        ngx_debug!(log, "lua deleting light thread {}", thread.shown());
        let recycle = recycle && !thread.state.has_failed() && self.idle_threads.has_room();
        debug_assert!(!recycle || !thread.state.is_running(), "a coroutine that is given back");
        if recycle && thread.state.is_idle() && thread.state.globals() == self.globals.get() {
            return self.keep_ended(thread, log);
        }
        // SAFETY: the coroutine is this VM's, and its owner has given it back: nothing runs it any more.
        let rest = if recycle && unsafe { openresty::reset_thread(self.main, thread.state) } {
            self.globals.set(self.main.globals());
            ngx_debug!(log, "lua caching unused lua thread {}", thread.shown());
            self.idle_threads.keep(thread)
        } else {
            Some(thread)
        };
        if let Some(thread) = rest {
            self.release_thread(thread);
        }
    }

    /// As [`Vm::give_back_thread`], for a coroutine whose code has ended by itself.
    #[inline(always)]
    pub fn give_back_ended(&self, thread: Thread, log: Log) {
        // Code may have given its coroutine, or the main one, other globals.
        if thread.state.globals() != self.globals.get() || !self.idle_threads.has_room() {
            return self.give_back_changed(thread, log);
        }
        ngx_debug!(log, "lua deleting light thread {}", thread.shown());
        self.keep_ended(thread, log);
    }

    /// Keeps a coroutine whose code has ended, and that has the globals of the main one.
    #[inline(always)]
    fn keep_ended(&self, mut thread: Thread, log: Log) {
        ngx_debug!(log, "lua caching unused lua thread {}", thread.shown());
        if thread.state.top() != 0 {
            thread.state.set_top(0);
        }
        if let Some(thread) = self.idle_threads.keep(thread) {
            self.release_thread(thread);
        }
    }

    #[cold]
    fn give_back_changed(&self, thread: Thread, log: Log) {
        self.give_back_thread(thread, true, log);
    }

    /// Code may run on the main coroutine from now on, and give it other globals.
    #[inline(always)]
    pub fn forget_globals(&self) {
        self.globals.set(null());
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let at = self.main.as_ptr() as usize;
        ngx_debug!(log::cycle_log(), "lua close the global Lua VM {at:016X}");
        if let Some(limit) = &self.limit {
            limit.remove(self.main);
        }
        // SAFETY: the VM is ours; nothing runs in it any more, because its users hold an Rc of it.
        unsafe { ffi::lua_close(self.main.as_ptr()) }
    }
}

/// Lua calls this for an error outside of any protected call, after which the process cannot go on.
///
/// # Safety
/// Only Lua may call this, with the running coroutine.
unsafe extern "C-unwind" fn at_panic(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passes the failing state.
    let state = unsafe { State::from_ptr(state) };
    let reason = Shown(state.bytes(-1).unwrap_or(b"unknown reason"));
    crate::ngx_log!(
        log::cycle_log(),
        Level::Alert,
        "lua atpanic: Lua VM crashed, reason: {reason}"
    );
    std::process::abort();
}

fn set_preload(mut state: State, preload: &[(std::ffi::CString, CFunction)]) {
    let top = state.top();
    state.get_field(GLOBALS, c"package");
    state.get_field(-1, c"preload");
    if state.kind(-1) == Kind::Table {
        for (package, loader) in preload {
            state.push_function(*loader);
            state.set_field(-2, package);
        }
    }
    state.set_top(top);
}

/// A share of a VM that is counted, for the C module's debug line about a request's own VM: the
/// request has one, and each timer that it makes. The VM lives until its last `Rc` is dropped.
pub struct Owner(Rc<Vm>);

impl Owner {
    pub fn new(vm: Rc<Vm>) -> Owner {
        vm.owners.set(vm.owners.get() + 1);
        Owner(vm)
    }

    pub fn vm(&self) -> &Rc<Vm> {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let owners = self.0.owners.get();
        if !self.0.caches_code {
            ngx_debug!(
                log::cycle_log(),
                "lua decrementing the reference count for Lua VM: {owners}"
            );
        }
        self.0.owners.set(owners.saturating_sub(1));
    }
}

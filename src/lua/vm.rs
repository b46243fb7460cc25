//! One Lua VM: made with the libraries, the `ngx` API and lua-resty-core in it, closed on drop.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::rc::Rc;

use codec::fallible::Shown;
use mlua::ffi;

use super::CFunction;
use super::error_value;
use super::jit;
use super::kind::Kind;
use super::limit::Limit;
use super::memory::Collection;
use super::openresty;
use super::resty_core::Release;
use super::run::Outcome;
use super::state::{GLOBALS, NOREF, REGISTRY, State};
use crate::nginx::Level;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::log;
use crate::nginx::core::log::Log;
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

/// A coroutine to run code in.
pub struct Thread {
    pub state: State,
    /// Its anchor in the registry.
    pub reference: i32,
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
    /// Coroutines that ended and may run again.
    idle_threads: FreeList<Thread>,
    /// One more, for code of filters, which most often ends without a wait: while it is here, nothing of
    /// it must be reset.
    filter_thread: Cell<Option<Thread>>,
    /// The code cache: the registry's reference of a table, and the references in that table by
    /// key.
    pub(super) cache_table: i32,
    pub(super) cache: RefCell<HashMap<String, i32>>,
    /// The number of owners of a request's own VM: the request, and timers that it made.
    owners: Cell<usize>,
    /// Whether compiled chunks are kept: true for the worker's own VM.
    pub(super) caches_code: bool,
    pub(super) collection: Collection,
    limit: Option<Box<Limit>>,
    release: Release,
}

impl Vm {
    /// Makes a VM by `recipe`. `caches_code` is false for a request's own VM (`lua_code_cache
    /// off`).
    pub fn new(recipe: &Recipe, caches_code: bool) -> Result<Vm, VmError> {
        let vm = Vm::bare(recipe, caches_code)?;
        openresty::inject_request(vm.main).map_err(VmError::Setup)?;
        // Its symbols are asked while it loads.
        vm.release.present();
        vm.require("resty.core")?;
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
        // SAFETY: no arguments; null is checked.
        let state = unsafe { ffi::luaL_newstate() };
        if state.is_null() {
            return Err(VmError::NoMemory);
        }
        // SAFETY: a fresh VM that only this value owns.
        let main = unsafe { State::from_ptr(state) };
        let mut vm = Vm {
            main,
            idle_threads: FreeList::new(0),
            filter_thread: Cell::default(),
            cache_table: NOREF,
            collection: Collection::default(),
            limit: recipe.max_memory.map(|max| Limit::install(main, max)),
            cache: RefCell::default(),
            owners: Cell::new(0),
            caches_code,
            release: Release::default(),
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
        vm.release = Release::wanted_on(&vm.package_path().map_err(VmError::Setup)?);
        vm.protect(|state| {
            vm.release.note_in(state);
            (recipe.inject)(state);
            vm.release.set_in(state);
            set_preload(state, recipe.preload);
        })
        .map_err(VmError::Setup)?;
        vm.main.produce(1, |state| state.new_table(0, 0)).map_err(VmError::Setup)?;
        vm.cache_table = vm.main.new_ref(REGISTRY);
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

    fn require(&self, module: &str) -> Result<(), VmError> {
        let mut state = self.main;
        state.get_field(GLOBALS, c"require");
        state.push_str(module);
        match state.call(1, 0, 0) {
            Outcome::Failed(_) => Err(VmError::RestyCore(self.with_release(state.take_error()))),
            Outcome::Done | Outcome::Yielded => Ok(()),
        }
    }

    /// `package.path`.
    fn package_path(&self) -> Result<Vec<u8>, Vec<u8>> {
        let mut path = Vec::new();
        self.protect(|mut state| {
            state.get_field(GLOBALS, c"package");
            path = path_of(state, c"path");
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

    /// Warns of new globals, once lua-resty-core has set its own.
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
        let mut state = self.main;
        let mut outcome = state.load(code, name);
        if outcome == Outcome::Done {
            let before = state.top();
            push(state);
            outcome = state.call(state.top() - before, 0, 0);
        }
        if outcome != Outcome::Done {
            let reason = state.take_error();
            let reason = Shown(&reason);
            crate::ngx_log!(log::cycle_log(), Level::Err, "failed to run Lua code: {reason}");
            state.pop(1);
        }
    }

    /// A coroutine anchored in the registry, fresh or recycled.
    #[inline(always)]
    pub fn take_thread(&self, log: Log) -> Result<Thread, Vec<u8>> {
        ngx_debug!(log, "lua creating new thread");
        if let Some(thread) = self.idle_threads.take() {
            let (at, reference) = (thread.state.as_ptr(), thread.reference);
            ngx_debug!(log, "lua reusing cached lua thread {at:p} (ref {reference})");
            return Ok(thread);
        }
        self.new_thread()
    }

    #[cold]
    fn new_thread(&self) -> Result<Thread, Vec<u8>> {
        let mut made = None;
        self.protect(|mut state| {
            let thread = state.new_thread();
            made = Some(Thread { state: thread, reference: state.new_ref(REGISTRY) });
        })?;
        made.ok_or_else(|| b"no coroutine".into())
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
        let (at, reference) = (thread.state.as_ptr(), thread.reference);
        ngx_debug!(log, "lua deleting light thread {at:p} (ref {reference})");
        let recycle = recycle && !thread.state.has_failed() && self.idle_threads.has_room();
        debug_assert!(!recycle || !thread.state.is_running(), "a coroutine that is given back");
        // SAFETY: the coroutine is this VM's, and its owner has given it back: nothing runs it any more.
        if recycle && unsafe { openresty::reset_thread(self.main, thread.state) } {
            ngx_debug!(log, "lua caching unused lua thread {at:p} (ref {reference})");
            if self.idle_threads.keep(thread).is_none() {
                return;
            }
        }
        self.main.unref(REGISTRY, reference);
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

fn set_package_paths(mut state: State, recipe: &Recipe) {
    let top = state.top();
    state.get_field(GLOBALS, c"package");
    if let Some(parent) = recipe.parent {
        for field in [c"path", c"cpath"] {
            let mut from = parent.main;
            from.get_field(GLOBALS, c"package");
            from.get_field(-1, field);
            state.push_bytes(from.bytes(-1).unwrap_or_default());
            from.pop(2);
            state.set_field(-2, field);
        }
    } else {
        prepend_default(state, c"path", DEFAULT_PATH);
        prepend_default(state, c"cpath", DEFAULT_CPATH);
        for (field, configured) in
            [(c"path", recipe.package_path), (c"cpath", recipe.package_cpath)]
        {
            let Some(configured) = configured else { continue };
            let default = path_of(state, field);
            state.push_bytes(&expand_path(configured, &default, recipe.prefix));
            state.set_field(-2, field);
        }
    }
    state.set_top(top);
}

/// A path that the build puts before `package.path`: `LUA_DEFAULT_PATH` of the build's environment,
/// or the place of Debian's Lua libraries, so that lua-resty-core is found with any `LUA_PATH`.
const DEFAULT_PATH: &str = match option_env!("LUA_DEFAULT_PATH") {
    Some(path) => path,
    // LuaJIT as it comes from its authors does not look there at all.
    None if cfg!(feature = "vendored") => "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua",
    None => "/usr/share/lua/5.1/?.lua",
};

/// The same for `package.cpath`: `LUA_DEFAULT_CPATH` of the build's environment, or the place of Debian's
/// Lua libraries in C, which a LuaJIT that is not Debian's does not know.
const DEFAULT_CPATH: &str = match option_env!("LUA_DEFAULT_CPATH") {
    Some(path) => path,
    None if cfg!(not(feature = "vendored")) => "",
    None if cfg!(target_arch = "aarch64") => "/usr/lib/aarch64-linux-gnu/lua/5.1/?.so",
    None => "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so",
};

/// Puts `default` before `package[field]`; the package table is on top.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
fn prepend_default(mut state: State, field: &CStr, default: &str) {
    if default.is_empty() {
        return;
    }
    let path = [default.as_bytes(), b";", &path_of(state, field)].concat();
    state.push_bytes(&path);
    state.set_field(-2, field);
}

/// `package[field]`; the package table is on top.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
fn path_of(mut state: State, field: &CStr) -> Vec<u8> {
    state.get_field(-1, field);
    let path = state.bytes(-1).unwrap_or_default().to_vec();
    state.pop(1);
    path
}

/// `;;` becomes the default path, `$prefix` and `${prefix}` nginx's prefix.
#[expect(clippy::disallowed_methods, reason = "what a configuration holds, when a VM is made")]
fn expand_path(configured: &[u8], default: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(configured.len() + default.len());
    let mut rest = configured;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b";;") {
            path.push(b';');
            path.extend_from_slice(default);
            path.push(b';');
            rest = after;
        } else if let Some(after) =
            rest.strip_prefix(b"$prefix").or_else(|| rest.strip_prefix(b"${prefix}"))
        {
            path.extend_from_slice(prefix);
            rest = after;
        } else {
            path.push(first);
            rest = after;
        }
    }
    path
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

/// An owner's share of a VM. When the last owner of a request's own VM drops its share, the VM's
/// work ends, even if others still hold an `Rc` of it.
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

//! Whether the running code can yield, and what is in between where it cannot.

use std::ffi::{CStr, c_int};

use codec::fallible::{self, Shown};
use mlua::ffi;

use super::LuaError;
use super::kind::Kind;
use super::state::{REGISTRY, State};
use super::sys::lua_isyieldable;

const ERROR: &str = "attempt to yield across C-call boundary";

/// C functions that code can wait below, because LuaJIT calls it without another C frame.
const TRANSPARENT: [&str; 2] = ["pcall", "xpcall"];

/// The registry's name of a table with functions of `coroutine` that are in no module, by their names.
pub const UNNAMED_COROUTINE: &CStr = c"ngx_lua_coroutine";

impl State {
    /// Fails with Lua's own error if the running code cannot yield: across a C call, or on the main
    /// coroutine.
    ///
    /// Functions that yield call this first, so that they have not started anything when it fails.
    pub fn check_yieldable(self) -> Result<(), LuaError> {
        // SAFETY: a live state.
        if unsafe { lua_isyieldable(self.as_ptr()) } != 0 {
            return Ok(());
        }
        Err(self.not_yieldable())
    }

    /// Lua's own error, with the names of the function that was to wait and of the C function that
    /// called it, be it through others, as far as modules have them under a name.
    #[cold]
    fn not_yieldable(self) -> LuaError {
        let own = self.name_of_called(0).flatten();
        let names = (1..).map_while(|level| self.name_of_called(level));
        let between = names.flatten().find(|name| !TRANSPARENT.contains(&name.as_str()));
        let text = match (own, between) {
            (Some(own), Some(between)) => {
                fallible::text(format_args!("{ERROR}: {own} cannot wait below {between}"))
            }
            (None, Some(between)) => fallible::text(format_args!("{ERROR}: below {between}")),
            (_, None) => ERROR.into(),
        };
        // As Lua's own, without a position.
        self.push_str(&text);
        LuaError::on_stack()
    }

    /// The name of the function at `level` of the call stack, where 0 is the running one, if it is a C
    /// function with a name: in a module, or for the running one at the place of its call. `None` where the
    /// stack ends.
    fn name_of_called(mut self, level: c_int) -> Option<Option<String>> {
        let top = self.top();
        // The name takes seven more values.
        self.reserve(8).ok()?;
        // SAFETY: a live state; zero is valid for the record, which lua_getstack prepares and
        // lua_getinfo fills; it pushes the function.
        let (is_c, called) = unsafe {
            let mut debug: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.as_ptr(), level, &mut debug) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.as_ptr(), c"nSf".as_ptr(), &mut debug);
            let is_c = !debug.what.is_null() && CStr::from_ptr(debug.what) == c"C";
            // The names at places of calls are not to be relied on: a tail call shows its caller's.
            let called = (level == 0 && !debug.name.is_null()).then(|| CStr::from_ptr(debug.name));
            (is_c, called)
        };
        let name = if is_c { self.name_in_modules() } else { None };
        self.set_top(top);
        Some(name.or_else(|| {
            called.map(|name| fallible::text(format_args!("{}", Shown(name.to_bytes()))))
        }))
    }

    /// The name of the function on top as a field of a loaded module: `string.format`, `load`.
    fn name_in_modules(mut self) -> Option<String> {
        let function = self.top();
        self.get_field(REGISTRY, c"_LOADED");
        let walk = self.walk(-1);
        while self.next(walk) {
            if self.kind(-1) == Kind::Table
                && self.kind(-2) == Kind::String
                && let Some(field) = self.field_with(function)
            {
                return Some(match self.bytes(-2)? {
                    b"_G" => field,
                    module => {
                        let module = Shown(module);
                        // Under `__yield` and the like, lua-resty-core finds the scheduler's functions.
                        fallible::text(format_args!("{module}.{}", field.trim_start_matches("__")))
                    }
                });
            }
            self.pop(1);
        }
        self.get_field(REGISTRY, UNNAMED_COROUTINE);
        let known = self.kind(-1) == Kind::Table;
        let field = if known { self.field_with(function) } else { None };
        field.map(|field| fallible::text(format_args!("coroutine.{field}")))
    }

    /// The name under which the table on top has the value at `index`.
    fn field_with(mut self, index: i32) -> Option<String> {
        let table = self.top();
        let walk = self.walk(-1);
        while self.next(walk) {
            if self.kind(-2) == Kind::String && self.is_raw_equal(-1, index) {
                let name = fallible::text(format_args!("{}", Shown(self.bytes(-2)?)));
                self.set_top(table);
                return Some(name);
            }
            self.pop(1);
        }
        None
    }

    fn is_raw_equal(self, one: i32, other: i32) -> bool {
        // SAFETY: a live coroutine; `field_with` passes indexes of values that are on its stack.
        unsafe { ffi::lua_rawequal(self.as_ptr(), one, other) != 0 }
    }
}

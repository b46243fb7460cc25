//! `ngx.__fault`, in builds with the cargo feature `fault-injection` only: what goes wrong next.

use codec::fallible::{self, Shown};

use crate::api::call::{Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};
use crate::nginx::core::fault;

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::anywhere(c"__fault", fault)]);
}

/// `ngx.__fault("panic")` panics. `("alloc", succeed, fail)` has pool allocations fail: so many
/// succeed first, and so many fail then; `("heap", succeed, fail)` does so with those of
/// `codec::fallible`. `("callback", part)` has nginx's next callback with `part` in its name panic.
/// `("none")` takes all of that back, and tells whether something was still to come.
fn fault(state: State) -> LuaResult {
    match state.check_bytes(1)? {
        b"panic" => panic!("an injected fault in a lua function"),
        what @ (b"alloc" | b"heap") => {
            let (succeed, fail) = (state.check_integer(2)?, state.check_integer(3)?);
            let count = |n| usize::try_from(n).map_err(|_| LuaError::text("a negative number"));
            let arm = if what == b"heap" { fault::arm_heap } else { fault::arm_pools };
            arm(count(succeed)?, count(fail)?);
        }
        b"callback" => {
            let part = fallible::format(format_args!("{}", Shown(state.check_bytes(2)?)))?;
            fault::arm_callback(part);
        }
        b"none" => {
            state.push_bool(fault::disarm());
            return Ok(Returns::Values(1));
        }
        _ => return Err(LuaError::argument(1, "no such fault")),
    }
    Ok(Returns::Values(0))
}

//! `ngx.req.get_method`, `set_method`, `is_internal`. lua-resty-core has the Lua side.

mod ffi;

use crate::lua::State;

/// Puts the table `ngx.req`, which lua-resty-core adds to, into the `ngx` table on top.
pub fn inject(state: State) {
    super::call::set_functions_in(state, c"req", &[]);
}

//! `ndk.set_var.DIRECTIVE(arg)`: directives of modules built with the NDK, called from Lua.
//! lua-resty-core has the Lua side.

mod ffi;

use crate::lua::State;
use crate::lua::state::GLOBALS;

/// Makes the global table `ndk`, which lua-resty-core fills. The stack stays as it is.
pub fn inject(mut state: State) {
    state.new_table(0, 1);
    state.get_field(GLOBALS, c"package");
    state.get_field(-1, c"loaded");
    state.push_value(-3);
    state.set_field(-2, c"ndk");
    state.pop(2);
    state.set_field(GLOBALS, c"ndk");
}

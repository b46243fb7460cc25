//! `ndk.set_var.DIRECTIVE(arg)`: directives of modules built with the NDK, called from Lua.
//! lua-resty-core has the Lua side.

mod ffi;

use crate::lua::State;

/// Makes the global table `ndk`, which lua-resty-core fills. The stack stays as it is.
pub fn inject(state: State) {
    state.new_table(0, 1);
    super::set_global_module(state, c"ndk");
}

//! The LuaJIT in this module, whose interface in C the module exports, for Lua's libraries in C.

use std::arch::naked_asm;

/// Exports functions that jump to LuaJIT's, which build.rs has given other names.
macro_rules! exported {
    ($($name:ident = $own:ident;)*) => {
        unsafe extern "C" {
            $(fn $own();)*
        }
        $(
            /// # Safety
            /// That of LuaJIT's function of this name, with whose arguments it is called.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                #[cfg(target_arch = "aarch64")]
                naked_asm!("b {}", sym $own);
                #[cfg(target_arch = "x86_64")]
                naked_asm!("jmp {}", sym $own);
            }
        )*
    };
}

// Made of LuaJIT's headers by build.rs.
include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

//! The barrier's frame on arm64.

use super::{absorb, personality, raise};

/// The register in which a landing pad gets its exception, by its DWARF number: x0.
pub(super) const EXCEPTION_REGISTER: i32 = 0;

std::arch::global_asm!(
    ".pushsection .text.ngx_http_lua_panic_barrier, \"ax\", @progbits",
    ".hidden ngx_http_lua_panic_barrier",
    ".hidden ngx_http_lua_panic_landing",
    ".globl ngx_http_lua_panic_barrier",
    ".globl ngx_http_lua_panic_landing",
    ".type ngx_http_lua_panic_barrier, @function",
    ".p2align 2",
    "ngx_http_lua_panic_barrier:",
    ".cfi_startproc",
    // 0x1b: an address relative to its own place, a signed word of 32 bits.
    ".cfi_personality 0x1b, {personality}",
    "stp x29, x30, [sp, #-32]!",
    ".cfi_def_cfa_offset 32",
    ".cfi_offset x29, -32",
    ".cfi_offset x30, -24",
    "mov x29, sp",
    ".cfi_def_cfa_register x29",
    "str x0, [sp, #16]",
    "blr x1",
    "ldp x29, x30, [sp], #32",
    ".cfi_remember_state",
    ".cfi_restore x29",
    ".cfi_restore x30",
    ".cfi_def_cfa sp, 0",
    "ret",
    ".cfi_restore_state",
    // The exception is where `absorb` takes its argument.
    "ngx_http_lua_panic_landing:",
    "bl {absorb}",
    "ldr x0, [x29, #16]",
    "bl {raise}",
    "brk #1",
    ".cfi_endproc",
    ".size ngx_http_lua_panic_barrier, . - ngx_http_lua_panic_barrier",
    ".popsection",
    personality = sym personality,
    absorb = sym absorb,
    raise = sym raise,
);

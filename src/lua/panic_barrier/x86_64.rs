//! The barrier's frame on x86-64.

use super::{absorb, personality, raise};

/// The register in which a landing pad gets its exception, by its DWARF number: rax.
pub(super) const EXCEPTION_REGISTER: i32 = 0;

std::arch::global_asm!(
    ".pushsection .text.ngx_http_lua_panic_barrier, \"ax\", @progbits",
    ".hidden ngx_http_lua_panic_barrier",
    ".hidden ngx_http_lua_panic_landing",
    ".globl ngx_http_lua_panic_barrier",
    ".globl ngx_http_lua_panic_landing",
    ".type ngx_http_lua_panic_barrier, @function",
    "ngx_http_lua_panic_barrier:",
    ".cfi_startproc",
    // 0x1b: an address relative to its own place, a signed word of 32 bits.
    ".cfi_personality 0x1b, {personality}",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    // Pushed twice, to keep the stack aligned for calls.
    "push rdi",
    "push rdi",
    "call rsi",
    "leave",
    ".cfi_remember_state",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_restore_state",
    "ngx_http_lua_panic_landing:",
    "mov rdi, rax",
    "call {absorb}",
    "mov rdi, [rbp - 8]",
    "call {raise}",
    "ud2",
    ".cfi_endproc",
    ".size ngx_http_lua_panic_barrier, . - ngx_http_lua_panic_barrier",
    ".popsection",
    personality = sym personality,
    absorb = sym absorb,
    raise = sym raise,
);

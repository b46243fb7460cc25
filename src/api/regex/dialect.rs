//! Which PCRE lua-resty-core and Lua code expect: option bits, result codes, texts, limits.
//!
//! Up to release 0.10.25 of the C module it is PCRE1, although PCRE2 does the work here. From
//! 0.10.26 on, the C module is built with PCRE2, and scripts see its codes and texts.

use std::ffi::{CStr, c_int};

use codec::pcre1;
use pcre2_sys::PCRE2_ERROR_BADDATA;

use crate::lua::resty_core;
use crate::nginx::core::pcre2;

/// The first release of the C module that presents PCRE2. The lua-resty-core for it is also the
/// first that passes PCRE2's option bits.
const WITH_PCRE2: u32 = 10_026;

/// The version that lua-resty-core is told. If it were 8.46 or later, newer releases of
/// lua-resty-core would pass PCRE2's option bits, which this dialect does not take.
const PCRE1_VERSION: &CStr = c"8.45 (PCRE2)";

/// The bits of `codec::pcre1` are those of the header that pcre2-sys was made from.
const _: () = {
    use pcre1::pcre2::*;
    assert!(CASELESS == pcre2_sys::PCRE2_CASELESS && MULTILINE == pcre2_sys::PCRE2_MULTILINE);
    assert!(DOTALL == pcre2_sys::PCRE2_DOTALL && EXTENDED == pcre2_sys::PCRE2_EXTENDED);
    assert!(ANCHORED == pcre2_sys::PCRE2_ANCHORED && UNGREEDY == pcre2_sys::PCRE2_UNGREEDY);
    assert!(DOLLAR_ENDONLY == pcre2_sys::PCRE2_DOLLAR_ENDONLY && UTF == pcre2_sys::PCRE2_UTF);
    assert!(NO_AUTO_CAPTURE == pcre2_sys::PCRE2_NO_AUTO_CAPTURE);
    assert!(FIRSTLINE == pcre2_sys::PCRE2_FIRSTLINE && DUPNAMES == pcre2_sys::PCRE2_DUPNAMES);
    assert!(ALLOW_EMPTY_CLASS == pcre2_sys::PCRE2_ALLOW_EMPTY_CLASS);
    assert!(ALT_BSUX == pcre2_sys::PCRE2_ALT_BSUX && UCP == pcre2_sys::PCRE2_UCP);
    assert!(MATCH_UNSET_BACKREF == pcre2_sys::PCRE2_MATCH_UNSET_BACKREF);
};

/// The PCRE whose bits, codes and texts go through the C symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Pcre1,
    Pcre2,
}

impl Dialect {
    /// The dialect of the release that this process presents to lua-resty-core.
    pub fn presented() -> Dialect {
        if resty_core::presented() < WITH_PCRE2 { Dialect::Pcre1 } else { Dialect::Pcre2 }
    }

    /// The version that lua-resty-core is told: up to 8.45, it passes PCRE1's bits.
    pub fn version(self) -> &'static CStr {
        match self {
            Dialect::Pcre1 => PCRE1_VERSION,
            Dialect::Pcre2 => pcre2::version(),
        }
    }

    /// PCRE2's options for the bits that lua-resty-core passes; `None` if a bit is unknown.
    pub fn options(self, bits: u32) -> Option<u32> {
        match self {
            Dialect::Pcre1 => pcre1::options(bits),
            Dialect::Pcre2 => (bits & !pcre1::ALL_OPTIONS == 0).then_some(bits),
        }
    }

    /// The code for a negative result of PCRE2.
    pub fn result(self, code: c_int) -> c_int {
        match self {
            Dialect::Pcre1 => pcre1::result(code),
            Dialect::Pcre2 => code,
        }
    }

    /// The code for a subject whose length does not fit into an `int`.
    pub fn bad_length(self) -> c_int {
        match self {
            Dialect::Pcre1 => pcre1::BAD_LENGTH,
            Dialect::Pcre2 => PCRE2_ERROR_BADDATA,
        }
    }

    /// The match limit for interpreted code that `lua_regex_match_limit` stands for.
    pub fn match_limit(self, limit: u32) -> u32 {
        match self {
            Dialect::Pcre1 => pcre1::match_limit(limit),
            Dialect::Pcre2 => limit,
        }
    }

    /// Whether a pattern is refused with a group that calls itself before it has matched anything.
    /// PCRE2 itself notices that only when it matches.
    pub fn refuses_endless_calls(self) -> bool {
        self == Dialect::Pcre1
    }

    /// The name of the C function that an error text names.
    pub fn compile_function(self) -> &'static str {
        match self {
            Dialect::Pcre1 => "pcre_compile()",
            Dialect::Pcre2 => "pcre2_compile()",
        }
    }

    /// The text for an error of PCRE2's compiler.
    pub fn compile_error_text(self, code: c_int) -> String {
        match self {
            Dialect::Pcre1 => match pcre1::compile_error_text(code) {
                Some(text) => text.into(),
                None => pcre2::error_text(code),
            },
            Dialect::Pcre2 => pcre2::error_text(code),
        }
    }

    /// Where in `pattern` an error is shown that PCRE2 found at `offset`.
    pub fn error_offset(self, code: c_int, offset: usize, pattern: &[u8]) -> usize {
        match self {
            Dialect::Pcre1 => pcre1::error_offset(code, offset, pattern),
            Dialect::Pcre2 => offset,
        }
    }
}

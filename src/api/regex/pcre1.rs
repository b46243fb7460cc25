//! What lua-resty-core and Lua code know of PCRE1, in terms of PCRE2.
//!
//! The option bits are those of `pcre.h`; result codes and error texts are turned into PCRE1's
//! wherever it has the same one.

use std::ffi::{CStr, c_int};

use pcre2_sys::{
    PCRE2_ALLOW_EMPTY_CLASS, PCRE2_ALT_BSUX, PCRE2_ANCHORED, PCRE2_CASELESS, PCRE2_DOLLAR_ENDONLY,
    PCRE2_DOTALL, PCRE2_DUPNAMES, PCRE2_EXTENDED, PCRE2_FIRSTLINE, PCRE2_MATCH_UNSET_BACKREF,
    PCRE2_MULTILINE, PCRE2_NO_AUTO_CAPTURE, PCRE2_UCP, PCRE2_UNGREEDY, PCRE2_UTF,
};

use super::pcre2;

/// The version that lua-resty-core is told. From 8.46 on, its later releases would pass the option
/// bits of PCRE2, which this module's interface does not take.
pub const VERSION: &CStr = c"8.45 (PCRE2)";

/// The subject's length cannot be told in an `int`.
pub const BAD_LENGTH: c_int = -32;
/// The start lies outside of the subject.
const BAD_OFFSET: c_int = -24;
/// A failure inside of the matching.
const INTERNAL: c_int = -14;

/// PCRE1's options, and PCRE2's.
const OPTIONS: &[(u32, u32)] = &[
    (0x0000_0001, PCRE2_CASELESS),
    (0x0000_0002, PCRE2_MULTILINE),
    (0x0000_0004, PCRE2_DOTALL),
    (0x0000_0008, PCRE2_EXTENDED),
    (0x0000_0010, PCRE2_ANCHORED),
    (0x0000_0020, PCRE2_DOLLAR_ENDONLY),
    (0x0000_0200, PCRE2_UNGREEDY),
    (0x0000_0800, PCRE2_UTF),
    (0x0000_1000, PCRE2_NO_AUTO_CAPTURE),
    (0x0004_0000, PCRE2_FIRSTLINE),
    (0x0008_0000, PCRE2_DUPNAMES),
    // JAVASCRIPT_COMPAT
    (0x0200_0000, PCRE2_ALLOW_EMPTY_CLASS | PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF),
    (0x2000_0000, PCRE2_UCP),
];

/// All of PCRE2's options that a script can ask for, by either version's bits.
pub const ALL_OPTIONS: u32 = {
    let (mut all, mut n) = (0, 0);
    while let Some((&(_, new), rest)) = OPTIONS.split_at(n).1.split_first() {
        all |= new;
        n = OPTIONS.len() - rest.len();
    }
    all
};

/// PCRE2's options for PCRE1's; none where a bit is unknown.
pub fn options(bits: u32) -> Option<u32> {
    let mut rest = bits;
    let mut options = 0;
    for &(old, new) in OPTIONS {
        if rest & old != 0 {
            rest &= !old;
            options |= new;
        }
    }
    (rest == 0).then_some(options)
}

/// PCRE2's result of a match that failed, and PCRE1's. Codes of PCRE2 alone stay.
const RESULTS: &[(c_int, c_int)] = &[
    (-2, -12),  // PARTIAL
    (-29, -4),  // BADDATA: BADMAGIC
    (-31, -4),  // BADMAGIC
    (-32, -28), // BADMODE
    (-33, BAD_OFFSET),
    (-34, -3),  // BADOPTION
    (-36, -11), // BADUTFOFFSET
    (-37, -9),  // CALLOUT
    (-38, -30), // DFA_BADRESTART
    (-39, -20), // DFA_RECURSE
    (-40, -17), // DFA_UCOND
    (-42, -16), // DFA_UITEM
    (-43, -19), // DFA_WSSIZE
    (-44, INTERNAL),
    (-45, -31), // JIT_BADOPTION
    (-46, -27), // JIT_STACKLIMIT
    (-47, -8),  // MATCHLIMIT
    (-48, -6),  // NOMEMORY
    (-49, -7),  // NOSUBSTRING
    (-51, -2),  // NULL
    (-52, -26), // RECURSELOOP
    (-53, -21), // DEPTHLIMIT: RECURSIONLIMIT
    (-55, -33), // UNSET
    (-63, -6),  // HEAPLIMIT: NOMEMORY
];

/// The codes for the ways in which a subject is not UTF-8; BADUTF8 in PCRE1.
const BAD_UTF8: std::ops::RangeInclusive<c_int> = -23..=-3;

/// PCRE1's code for a negative result of PCRE2.
pub fn result(code: c_int) -> c_int {
    if BAD_UTF8.contains(&code) {
        return -10;
    }
    RESULTS.iter().find(|(new, _)| *new == code).map_or(code, |(_, old)| *old)
}

/// The match limit for interpreted code of PCRE2 that stands for one of PCRE1's. (Translated code
/// counts alike in both.)
///
/// PCRE2 counts fewer steps for the same work, by a ninth or more. Scaled so, a limit that was set
/// for PCRE1 cuts off at no less work than it did there, and not at much more.
pub fn match_limit(limit: u32) -> u32 {
    limit - limit / 9
}

/// PCRE2's compile errors whose text reads otherwise in PCRE1.
const TEXTS: &[(c_int, &str)] = &[
    (107, "invalid escape sequence in character class"),
    (109, "nothing to repeat"),
    (114, "missing )"),
    (117, "unknown option bit(s) set"),
    (118, "missing ) after comment"),
    (121, "failed to get memory"),
    (122, "unmatched parentheses"),
    (124, "malformed number or name after (?("),
    (127, "conditional group contains more than two branches"),
    (129, "digit expected after (?+"),
    (132, "this version of PCRE is compiled without UTF support"),
    (134, "character value in \\x{} or \\o{} is too large"),
    (136, "\\C not allowed in lookbehind assertion"),
    (137, "PCRE does not support \\L, \\l, \\N{name}, \\U, or \\u"),
    (138, "number after (?C is > 255"),
    (139, "closing ) for (?C expected"),
    (ENDLESS_CALL, "recursive call could loop indefinitely"),
    (142, "syntax error in subpattern name (missing terminator)"),
    (143, "two named subpatterns have the same name"),
    (144, "group name must start with a non-digit"),
    (145, "support for \\P, \\p, and \\X has not been compiled"),
    (147, "unknown property name after \\P or \\p"),
    (148, "subpattern name is too long (maximum 32 characters)"),
    (158, "(?R or (?[+-]digits must be followed by )"),
    (178, "digits missing in \\x{} or \\o{}"),
    (186, "regular expression is too complicated"),
];

/// A group that calls itself before anything is matched: an error of PCRE1 alone.
pub const ENDLESS_CALL: c_int = 140;
/// Errors whose place PCRE1 tells otherwise.
const NO_SUCH_GROUP: c_int = 115;
const NO_SUCH_ESCAPE: c_int = 137;
const NAME_TWICE: c_int = 143;
const NO_SUCH_PROPERTY: c_int = 147;
const BAD_RANGE: c_int = 150;

/// Where PCRE1 finds a compile error that PCRE2 finds at `offset`: behind the name of a group that
/// there is none of, and at the last byte of what PCRE2 has read of some others.
pub fn error_offset(code: c_int, offset: usize, pattern: &[u8]) -> usize {
    let rest = pattern.get(offset..).unwrap_or_default();
    match code {
        NO_SUCH_GROUP => {
            let len = match rest.first() {
                // A number is compared once all groups are known.
                Some(b'}' | b'0'..=b'9') => rest.len(),
                Some(b'{') => rest.iter().position(|byte| *byte == b'}').unwrap_or(0),
                Some(b'(') => rest.iter().position(|byte| *byte == b')').map_or(0, |end| end + 1),
                _ => {
                    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                    rest.iter().take_while(|byte| is_word(byte)).count()
                }
            };
            offset + len
        }
        NO_SUCH_ESCAPE | NAME_TWICE | BAD_RANGE => offset.saturating_sub(1),
        NO_SUCH_PROPERTY if pattern.get(..offset).is_some_and(|read| read.ends_with(b"}")) => {
            offset - 1
        }
        _ => offset,
    }
}

/// An unknown bit among the options.
pub const UNKNOWN_OPTION: c_int = 117;

/// PCRE1's text for a compile error of PCRE2, or PCRE2's where it has none.
pub fn compile_error_text(code: c_int) -> String {
    // The validity of UTF-8 has one text in PCRE1, and its codes are negative here.
    if BAD_UTF8.contains(&code) {
        return "invalid UTF-8 string".into();
    }
    match TEXTS.iter().find(|(of, _)| *of == code) {
        Some((_, text)) => (*text).into(),
        None => pcre2::error_text(code),
    }
}

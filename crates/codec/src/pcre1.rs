//! What lua-resty-core and Lua code know of PCRE1, in terms of PCRE2.
//!
//! The option bits are those of `pcre.h`; result codes and error texts are turned into PCRE1's
//! wherever it has the same one.

/// The subject's length does not fit an `int`.
pub const BAD_LENGTH: i32 = -32;
/// The start lies outside of the subject.
const BAD_OFFSET: i32 = -24;
/// A failure inside of the matching.
const INTERNAL: i32 = -14;

/// PCRE2's option bits, as `pcre2.h` has them.
pub mod pcre2 {
    pub const CASELESS: u32 = 0x8;
    pub const MULTILINE: u32 = 0x400;
    pub const DOTALL: u32 = 0x20;
    pub const EXTENDED: u32 = 0x80;
    pub const ANCHORED: u32 = 0x80000000;
    pub const DOLLAR_ENDONLY: u32 = 0x10;
    pub const UNGREEDY: u32 = 0x40000;
    pub const UTF: u32 = 0x80000;
    pub const NO_AUTO_CAPTURE: u32 = 0x2000;
    pub const FIRSTLINE: u32 = 0x100;
    pub const DUPNAMES: u32 = 0x40;
    pub const ALLOW_EMPTY_CLASS: u32 = 0x1;
    pub const ALT_BSUX: u32 = 0x2;
    pub const MATCH_UNSET_BACKREF: u32 = 0x200;
    pub const UCP: u32 = 0x20000;
}

/// PCRE1's options, and PCRE2's.
const OPTIONS: &[(u32, u32)] = &[
    (0x0000_0001, pcre2::CASELESS),
    (0x0000_0002, pcre2::MULTILINE),
    (0x0000_0004, pcre2::DOTALL),
    (0x0000_0008, pcre2::EXTENDED),
    (0x0000_0010, pcre2::ANCHORED),
    (0x0000_0020, pcre2::DOLLAR_ENDONLY),
    (0x0000_0200, pcre2::UNGREEDY),
    (0x0000_0800, pcre2::UTF),
    (0x0000_1000, pcre2::NO_AUTO_CAPTURE),
    (0x0004_0000, pcre2::FIRSTLINE),
    (0x0008_0000, pcre2::DUPNAMES),
    // JAVASCRIPT_COMPAT
    (0x0200_0000, pcre2::ALLOW_EMPTY_CLASS | pcre2::ALT_BSUX | pcre2::MATCH_UNSET_BACKREF),
    (0x2000_0000, pcre2::UCP),
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
const RESULTS: &[(i32, i32)] = &[
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
const BAD_UTF8: std::ops::RangeInclusive<i32> = -23..=-3;

/// PCRE1's code for a negative result of PCRE2.
pub fn result(code: i32) -> i32 {
    if BAD_UTF8.contains(&code) {
        return -10;
    }
    RESULTS.iter().find(|(new, _)| *new == code).map_or(code, |(_, old)| *old)
}

/// The match limit for interpreted code of PCRE2 that stands for one of PCRE1's. (JIT-compiled code
/// counts alike in both.)
///
/// PCRE2 counts fewer steps for the same work, by a ninth or more. Scaled so, a limit that was set
/// for PCRE1 cuts off at no less work than it did there, and not at much more.
pub fn match_limit(limit: u32) -> u32 {
    limit - limit / 9
}

/// PCRE2's compile errors whose text reads otherwise in PCRE1.
const TEXTS: &[(i32, &str)] = &[
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
pub const ENDLESS_CALL: i32 = 140;
/// Errors that PCRE1 reports at another offset.
const NO_SUCH_GROUP: i32 = 115;
const NO_SUCH_ESCAPE: i32 = 137;
const NAME_TWICE: i32 = 143;
const NO_SUCH_PROPERTY: i32 = 147;
const BAD_RANGE: i32 = 150;

/// The offset at which PCRE1 reports a compile error that PCRE2 reports at `offset`: for a group
/// that does not exist, after its name; for some other errors, at the last byte that PCRE2 has
/// read.
pub fn error_offset(code: i32, offset: usize, pattern: &[u8]) -> usize {
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
pub const UNKNOWN_OPTION: i32 = 117;

/// PCRE1's text for a compile error of PCRE2; none where it is PCRE2's own.
pub fn compile_error_text(code: i32) -> Option<&'static str> {
    // The validity of UTF-8 has one text in PCRE1, and its codes are negative here.
    if BAD_UTF8.contains(&code) {
        return Some("invalid UTF-8 string");
    }
    TEXTS.iter().find(|(of, _)| *of == code).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart() {
        assert_eq!(options(0), Some(0));
        assert_eq!(options(0x1 | 0x4), Some(pcre2::CASELESS | pcre2::DOTALL));
        assert_eq!(options(0x0200_0000), Some(0x1 | 0x2 | 0x200));
        assert_eq!(options(0x4000), None);
        let all = OPTIONS.iter().fold(0, |all, (_, new)| all | new);
        assert_eq!(ALL_OPTIONS, all);
        for (n, (old, _)) in OPTIONS.iter().enumerate() {
            assert_eq!(old.count_ones(), 1);
            assert!(OPTIONS.iter().skip(n + 1).all(|(other, _)| other != old));
        }
    }

    #[test]
    fn results_are_those_of_pcre1() {
        assert_eq!(result(-1), -1);
        assert_eq!(result(-47), -8);
        assert_eq!(result(-33), BAD_OFFSET);
        assert_eq!(result(-44), INTERNAL);
        assert!((-23..=-3).all(|code| result(code) == -10));
        assert_eq!(result(-99), -99);
    }

    #[test]
    fn limits_shrink_by_a_ninth() {
        assert_eq!(match_limit(0), 0);
        assert_eq!(match_limit(9_000), 8_000);
        assert_eq!(match_limit(u32::MAX), u32::MAX - u32::MAX / 9);
    }

    #[test]
    fn places_of_errors() {
        assert_eq!(error_offset(143, 5, b"(?<a>)"), 4);
        assert_eq!(error_offset(137, 0, b""), 0);
        assert_eq!(error_offset(115, 3, br"\k<name>"), 7);
        assert_eq!(error_offset(115, 2, br"\g12 a"), 6);
        assert_eq!(error_offset(147, 5, br"\p{X}"), 4);
        assert_eq!(error_offset(147, 9, b"short"), 9);
        assert_eq!(error_offset(101, 7, b"short"), 7);
    }

    #[test]
    fn texts_of_errors() {
        assert_eq!(compile_error_text(114), Some("missing )"));
        assert_eq!(
            compile_error_text(ENDLESS_CALL),
            Some("recursive call could loop indefinitely")
        );
        assert_eq!(compile_error_text(-5), Some("invalid UTF-8 string"));
        assert_eq!(compile_error_text(101), None);
    }
}

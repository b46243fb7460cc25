//! Tests of endless calls: what PCRE1 refuses, with the offset, and what it accepts.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(pattern: &str, rest: &str) {
    let end = endless_call(pattern.as_bytes(), false);
    assert_eq!(end.and_then(|end| pattern.get(end..)), Some(rest), "{pattern}");
}

#[test]
fn a_call_before_anything_is_matched_is_endless() {
    for (pattern, rest) in [
        ("(?R)", ")"),
        ("(?R)a", ")a"),
        ("((?1))", "))"),
        ("a|(?R)", ")"),
        ("(?R)|a", ")|a"),
        ("(a|(?1))b", "))b"),
        ("(?:(?R))", "))"),
        ("(?R)*", ")*"),
        ("(?<n>(?&n))", "))"),
        ("(?P<n>(?P>n))", "))"),
        ("(?=(?R))", "))"),
        ("x*(?R)", ")"),
        ("(?0)", ")"),
        ("b(x?(?1))", "))"),
        ("b(x{0,3}?(?-1))", "))"),
        ("(?'n'\\b^\\g<n>)", ">)"),
        ("(a)(?:b*|c)(?#d)(?i)(?(1)e)((?:f|)(?2))", "))"),
        ("(?x: (?R) )", ") )"),
    ] {
        refused(pattern, rest);
    }
}

#[test]
fn others_end() {
    for pattern in [
        "a(?R)?b",
        "\\((?:[^()]|(?R))*\\)",
        "(a(?1)?b)",
        "((?2))((?1))",
        "(a)(?1)",
        "(?1)(a)",
        "(?<n>[(]x(?&n)?)",
        "[^](?R)]",
        "[[:alpha:](?R)]",
        "\\Q(?R)\\E",
        "\\(?R)?",
        "(?#(?R)",
        "(?(DEFINE)(?<b>\\d+))(?&b)",
        "(a+)(?R)?",
        "(?(R)a|b(?R))",
        "x{2}(?R)?",
        "x{,2}(?R)?",
        "(?x) # (?R)\n a",
        "",
        "(?R",
        "\\",
        "(?<",
    ] {
        assert_eq!(endless_call(pattern.as_bytes(), false), None, "{pattern}");
    }
    assert_eq!(endless_call(b"(?R)", true), Some(3));
    assert_eq!(endless_call(b" (?R)", false), None);
    assert_eq!(endless_call(b" (?R)", true), Some(4));
}

proptest! {
    #[test]
    fn any_bytes_are_read(pattern in r"[(?R)1&<>n'|*+{0,}\\QE\[\]^x#P=:a-]{0,40}", extended: bool) {
        if let Some(end) = endless_call(pattern.as_bytes(), extended) {
            prop_assert!(end < pattern.len());
        }
    }
}

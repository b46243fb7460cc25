//! Tests of patterns: LuaJIT's results, and random ones that must stay in bounds.

use proptest::prelude::*;

use super::*;

/// The text, each match with its captures in brackets behind it.
fn shown(subject: &str, pattern: &str, limit: usize) -> Result<String, PatternError> {
    let subject = subject.as_bytes();
    let mut substitution = Substitution::default();
    substitution.begin(pattern.as_bytes(), limit)?;
    while substitution.find(subject)? {
        let captures = substitution.captures()?.map(|capture| match capture {
            Capture::Text(start, end) => {
                String::from_utf8(subject[start as usize..end as usize].to_vec()).unwrap()
            }
            Capture::Position(place) => place.to_string(),
            Capture::Unfinished(_) => unreachable!("it is refused"),
        });
        let text = format!("[{}]", captures.collect::<Vec<_>>().join(","));
        substitution.replace(subject, text.as_bytes())?;
    }
    let text = substitution.finish(subject)?.unwrap_or(subject).to_vec();
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn what_matches_is_replaced() {
    for (subject, pattern, expected) in [
        ("one two", "%w+", "[one] [two]"),
        ("a=1, b=2", "(%w)=(%d)", "[a,1], [b,2]"),
        ("abc", "", "[]a[]b[]c[]"),
        ("abc", "b*", "[]a[b][]c[]"),
        ("abc", "()b()", "a[1,2]c"),
        ("aaa", "^a", "[a]aa"),
        ("aaa", "a$", "aa[a]"),
        ("a$b", "a$b", "[a$b]"),
        ("f(a(b)c)d", "%b()", "f[(a(b)c)]d"),
        ("THE (quick) fox", "%f[%a]%a+%f[%A]", "[THE] ([quick]) [fox]"),
        ("'a' \"b\"", "([\"'])(.-)%1", "[',a] [\",b]"),
        ("x]y-z", "[]-]", "x[]]y[-]z"),
        ("a-c.b", "[^a-b%.]", "a[-][c].b"),
        ("color colour", "colou?r", "[color] [colour]"),
        ("nothing", "%d", "nothing"),
        ("-a-", "%-", "[-]a[-]"),
        ("-a-", "(%-)", "[-]a[-]"),
        ("a b/c", "([^%w])", "a[ ]b[/]c"),
        ("a b/c", "[^%w]", "a[ ]b[/]c"),
        ("a(b", "%(", "a[(]b"),
        ("aab", "(a)b", "a[a]"),
        ("a\0b", "%z", "a[\0]b"),
        ("abab", "a\0b", "[a]b[a]b"),
        ("key = value", "^(%w+)%s*=%s*(%w+)$", "[key,value]"),
        ("ab", "((a)(b))", "[ab,a,b]"),
    ] {
        assert_eq!(shown(subject, pattern, 99).as_deref(), Ok(expected), "{subject} {pattern}");
    }
    assert_eq!(shown("aaa", "a", 2).as_deref(), Ok("[a][a]a"));
    assert_eq!(shown("aaa", "(a)", 2).as_deref(), Ok("[a][a]a"));
    assert_eq!(shown("aaa", "a", 0).as_deref(), Ok("aaa"));
}

#[test]
fn errors_show_where_a_match_comes_to_them() {
    use PatternError::*;
    for (pattern, error) in [
        ("a%", EndsWithEscape),
        ("a[b", MissingBracket),
        ("a[%", MissingBracket),
        ("a%f", MissingSet),
        ("a%b(", Unbalanced),
        ("a)", InvalidCapture),
        ("a%1", InvalidIndex),
        ("(a%1)", InvalidIndex),
        ("%0", InvalidIndex),
        ("(a", UnfinishedCapture),
        (&"()".repeat(33), TooManyCaptures),
        (&"a?".repeat(201), TooComplex),
    ] {
        assert_eq!(shown(&"a".repeat(300), pattern, 99), Err(error), "{pattern}");
        if pattern.starts_with('a') && error != TooComplex {
            assert_eq!(shown("b", pattern, 99).as_deref(), Ok("b"), "{pattern}");
        }
    }
}

#[test]
fn an_attempt_that_fails_leaves_no_captures() {
    // The first attempt closes the capture, the second one opens it again.
    assert_eq!(shown("aab", "(a*)()ab", 9).as_deref(), Ok("[a,1]"));
    assert_eq!(shown("xay", "x(a?)ay", 9).as_deref(), Ok("[]"));
    assert_eq!(shown("aXbX", "(.-)X(.-)X", 9).as_deref(), Ok("[a,b]"));
}

proptest! {
    #[test]
    fn captures_stay_in_the_subject(pattern in r"[ab()%^$*+?.1fw\[\]\-]{0,10}", subject in r"[ab()\-]{0,16}") {
        let mut substitution = Substitution::default();
        substitution.begin(pattern.as_bytes(), 99).unwrap();
        let mut count = 0;
        while let Ok(true) = substitution.find(subject.as_bytes()) {
            count += 1;
            prop_assert!(count <= subject.len() + 1);
            let Ok(captures) = substitution.captures() else { continue };
            for capture in captures {
                let (start, end) = match capture {
                    Capture::Text(start, end) => (start, end),
                    Capture::Position(place) | Capture::Unfinished(place) => (place, place),
                };
                prop_assert!(start <= end && end as usize <= subject.len());
            }
        }
        prop_assert_eq!(substitution.count(), count);
    }
}

//! Tests of `receiveuntil`: ambiguous patterns, sizes, and random streams against plain search.

use proptest::prelude::*;

use super::*;

/// One call of the iterator over `input` in pieces of `size` bytes; what is read is removed.
fn call(reader: &mut ReceiveUntil, input: &mut &[u8], size: usize) -> (String, Status) {
    let mut out = Vec::new();
    let mut status = Status::NeedMore;
    let mut at = 0;
    while status == Status::NeedMore && at < input.len() {
        let piece = &input[at..input.len().min(at + size)];
        let fed = reader.feed(piece, &mut out).unwrap();
        assert!(fed.status != Status::NeedMore || fed.consumed == piece.len());
        at += fed.consumed;
        status = fed.status;
    }
    if status == Status::Chunk {
        at -= reader.held().len();
    }
    *input = &input[at..];
    (String::from_utf8(out).unwrap(), status)
}

fn read(pattern: &str, input: &str, inclusive: bool) -> (String, Status, String) {
    let mut reader = ReceiveUntil::new(pattern.as_bytes(), inclusive).unwrap();
    let mut rest = input.as_bytes();
    assert_eq!(reader.begin(0), Call::Read);
    let (out, status) = call(&mut reader, &mut rest, 1);
    (out, status, String::from_utf8(rest.to_vec()).unwrap())
}

#[test]
fn ambiguous_patterns() {
    for (pattern, input, expected, rest) in [
        ("abcabd", "abcabcabd", "abc", ""),
        ("aa", "abcabcaad", "abcabc", "d"),
        ("aaa", "baaaac", "b", "ac"),
        ("aaaaad", "baaaaaaaaeaaaaaaadf", "baaaaaaaaeaa", "f"),
        ("abcabdabcabe", "abcabdabcabdabcabe", "abcabd", ""),
        ("--abc", "hello----abc", "hello--", ""),
        ("\r\n", "a\r\r\nb", "a\r", "b"),
    ] {
        let (out, status, left) = read(pattern, input, false);
        assert_eq!(
            (out.as_str(), status, left.as_str()),
            (expected, Status::Found, rest),
            "{pattern}"
        );
    }
}

#[test]
fn inclusive_results_end_with_the_pattern() {
    assert_eq!(read("--", "a-b--c", true), ("a-b--".into(), Status::Found, "c".into()));
    assert_eq!(read("--", "--", true), ("--".into(), Status::Found, "".into()));
}

#[test]
fn bytes_that_may_begin_the_pattern_are_held_back() {
    let mut reader = ReceiveUntil::new(b"abc", false).unwrap();
    let mut out = Vec::new();
    reader.begin(0);
    let fed = Fed { consumed: 3, status: Status::NeedMore, held: 0, passed: 1 };
    assert_eq!(reader.feed(b"xab", &mut out).unwrap(), fed);
    assert_eq!((out.as_slice(), reader.held()), (&b"x"[..], &b"ab"[..]));
    let fed = Fed { consumed: 2, status: Status::NeedMore, held: 2, passed: 0 };
    assert_eq!(reader.feed(b"ab", &mut out).unwrap(), fed);
    assert_eq!((out.as_slice(), reader.held()), (&b"xab"[..], &b"ab"[..]));
}

#[test]
fn sized_calls_end_with_three_nils() {
    let mut reader = ReceiveUntil::new(b"--abc", false).unwrap();
    let mut input = &b"hello, world----abcnext--abc"[..];
    let mut results = Vec::new();
    for _ in 0..4 {
        assert_eq!(reader.begin(4), Call::Read);
        results.push(call(&mut reader, &mut input, 3));
    }
    assert_eq!(
        results,
        [
            ("hell".into(), Status::Chunk),
            ("o, w".into(), Status::Chunk),
            ("orld".into(), Status::Chunk),
            ("--".into(), Status::Found),
        ]
    );
    assert_eq!(reader.begin(4), Call::End);
    assert_eq!(reader.begin(0), Call::Read);
    assert_eq!(call(&mut reader, &mut input, 3), ("next".into(), Status::Found));
    assert_eq!(reader.begin(0), Call::Read);
}

#[test]
fn held_bytes_may_exceed_the_size() {
    let mut reader = ReceiveUntil::new(b"aaab", false).unwrap();
    let mut input = &b"aaac"[..];
    reader.begin(1);
    assert_eq!(call(&mut reader, &mut input, 9), ("aaa".into(), Status::Chunk));
    assert_eq!(input, b"c");
}

#[test]
fn what_is_held_back_at_the_end_of_a_call_is_unread() {
    let mut reader = ReceiveUntil::new(b"ab1ab2", false).unwrap();
    let mut input = &b"ab1ab1"[..];
    reader.begin(2);
    assert_eq!(call(&mut reader, &mut input, 2), ("ab1".into(), Status::Chunk));
    assert_eq!(input, b"ab1");
    reader.begin(0);
    assert_eq!(reader.held(), b"");
}

#[test]
fn an_empty_pattern_is_refused() {
    assert_eq!(ReceiveUntil::new(b"", true).unwrap_err().to_string(), "pattern is empty");
}

#[test]
fn a_long_pattern_takes_memory_of_its_own() {
    assert!(ReceiveUntil::new(&[b'a'; 16], false).unwrap().is_small());
    assert!(!ReceiveUntil::new(&[b'a'; 17], false).unwrap().is_small());
}

/// A slow, simple version of a sized reader: compare at every offset.
fn find(pattern: &[u8], input: &[u8]) -> Option<usize> {
    input.windows(pattern.len()).position(|window| window == pattern)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_with_searching(
        pattern in "[ab]{1,6}|[abc]{1,4}", input in "[ab]{0,30}|[abc]{0,30}|[abc]{0,30}c{20,50}[ab]{0,60}",
        size in 1usize..120, inclusive: bool,
    ) {
        let mut reader = ReceiveUntil::new(pattern.as_bytes(), inclusive).unwrap();
        let mut rest = input.as_bytes();
        while let Some(at) = find(pattern.as_bytes(), rest) {
            let end = at + if inclusive { pattern.len() } else { 0 };
            let expected = String::from_utf8(rest[..end].to_vec()).unwrap();
            let after = &rest[at + pattern.len()..];
            prop_assert_eq!(reader.begin(0), Call::Read);
            prop_assert_eq!(call(&mut reader, &mut rest, size), (expected, Status::Found));
            prop_assert_eq!(rest, after);
        }

        let (out, status) = call(&mut reader, &mut rest.to_vec().as_slice(), size);
        prop_assert_eq!(status, Status::NeedMore);
        prop_assert_eq!([out.as_bytes(), reader.held()].concat(), rest);
        let longest = (0..pattern.len()).rev().find(|&n| rest.ends_with(&pattern.as_bytes()[..n]));
        prop_assert_eq!(reader.held().len(), longest.unwrap());
    }

    #[test]
    fn sized_chunks_add_up(
        pattern in "[ab]{1,5}", input in "[ab]{0,40}", size in 1usize..5, want in 1usize..7,
    ) {
        let text = [input.as_bytes(), pattern.as_bytes()].concat();
        let at = find(pattern.as_bytes(), &text).unwrap();
        let mut reader = ReceiveUntil::new(pattern.as_bytes(), false).unwrap();
        let mut rest = text.as_slice();
        let mut all = String::new();
        loop {
            prop_assert_eq!(reader.begin(want), Call::Read);
            let (chunk, status) = call(&mut reader, &mut rest, size);
            all.push_str(&chunk);
            if status == Status::Found {
                break;
            }
            prop_assert_eq!(status, Status::Chunk);
            prop_assert!(chunk.len() >= want && chunk.len() < want + pattern.len());
        }
        prop_assert_eq!(all.as_bytes(), &text[..at]);
        prop_assert_eq!(rest, &text[at + pattern.len()..]);
        prop_assert_eq!(reader.begin(want), Call::End);
    }
}

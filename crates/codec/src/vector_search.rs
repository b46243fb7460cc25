//! A search for short strings that takes less to begin than memchr's `memmem`.

#[cfg(target_arch = "aarch64")]
use memchr::arch::aarch64::neon::packedpair::Finder;
#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::sse2::packedpair::Finder;

/// The answer to [`find`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The pattern begins after that many bytes.
    Found(usize),
    /// It is not in the input.
    Absent,
    /// It is shorter than two bytes or longer than 256, or the input is too short for the processor's vectors, or the
    /// processor has none that are known here.
    Unknown,
}

/// Looks for `pattern` by its first and its last byte, at many places at once. Where both are there, all of it is compared:
/// it should be short.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn find(pattern: &[u8], input: &[u8]) -> Search {
    use memchr::arch::all::packedpair::Pair;

    let last = u8::try_from(pattern.len().saturating_sub(1)).ok();
    let pair = last.and_then(|last| Pair::with_indices(pattern, 0, last));
    let finder = pair.and_then(|pair| Finder::with_pair(pattern, pair));
    match finder.filter(|finder| finder.min_haystack_len() <= input.len()) {
        Some(finder) => finder.find(input, pattern).map_or(Search::Absent, Search::Found),
        None => Search::Unknown,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn find(_: &[u8], _: &[u8]) -> Search {
    Search::Unknown
}

#[cfg(test)]
mod tests {
    use super::{Search, find};

    #[test]
    fn finds_the_first_place_at_any_offset() {
        for pattern in [&b"\r\n\r\n"[..], b"ab", b"aaaaaaab", b"0123456789abcdef"] {
            for before in 0..80 {
                let mut input = vec![pattern[0]; before];
                input.extend_from_slice(pattern);
                let first = input.windows(pattern.len()).position(|part| part == pattern);
                input.extend_from_slice(&[b'x'; 40]);
                assert_eq!(find(pattern, &input), first.map_or(Search::Absent, Search::Found));
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_absent() {
        let input = [&[b'x'; 60][..], b"\r\n\r"].concat();
        assert_eq!(find(b"\r\n\r\n", &input), Search::Absent);
    }

    #[test]
    fn what_is_too_short_is_unknown() {
        assert_eq!(find(b"", &[b'x'; 100]), Search::Unknown);
        assert_eq!(find(b"x", &[b'x'; 100]), Search::Unknown);
        assert_eq!(find(b"xy", b"xy"), Search::Unknown);
        assert_eq!(find(&[b'x'; 300], &[b'x'; 1000]), Search::Unknown);
    }
}

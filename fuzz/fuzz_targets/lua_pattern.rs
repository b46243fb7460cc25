//! Lua patterns: what matches lies in the subject, and a text that is put together of it is the subject.
#![no_main]

use codec::lua_pattern::{Capture, Substitution};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    // A pattern may take time exponential in its length.
    let (pattern, subject) = (&input.0[..input.0.len().min(12)], &input.1[..input.1.len().min(24)]);
    let mut substitution = Substitution::default();
    substitution.begin(pattern, usize::MAX).unwrap();
    while let Ok(true) = substitution.find(subject) {
        assert!(substitution.count() <= subject.len() + 1);
        let whole = substitution.whole();
        for capture in substitution.captures().into_iter().flatten().chain([whole]) {
            let (start, end) = match capture {
                Capture::Text(start, end) => (start as usize, end as usize),
                Capture::Position(place) | Capture::Unfinished(place) => (place as usize, place as usize),
            };
            assert!(start <= end && end <= subject.len());
        }
        let Capture::Text(start, end) = whole else { unreachable!() };
        substitution.replace(subject, &subject[start as usize..end as usize]).unwrap();
    }
    assert_eq!(substitution.finish(subject).unwrap().unwrap_or(subject), subject);
});

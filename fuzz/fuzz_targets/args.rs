//! Query strings: ranges stay in the buffer and the two parsers agree.
#![no_main]

use codec::args::{self, Encoder};
use libfuzzer_sys::fuzz_target;

type Pair = (Vec<u8>, Option<Vec<u8>>);

fuzz_target!(|input: (i8, &[u8])| {
    let (max, src) = input;
    let max = i32::from(max);

    let count = args::count(src, max);
    let mut buf = src.to_vec();
    let mut ranges = Vec::new();
    let found = args::parse_in_place(&mut buf, count.slots, |arg| ranges.push(arg));
    assert!(found == ranges.len() && found <= count.slots);

    let parsed: Vec<Pair> = ranges
        .into_iter()
        .map(|arg| (buf[arg.name].to_vec(), arg.value.map(|value| buf[value].to_vec())))
        .collect();
    assert!(parsed.iter().all(|(name, _)| !name.is_empty()));

    if !count.truncated {
        assert_eq!(parsed, decode(src));
    }

    let mut encoder = Encoder::new();
    for (name, value) in &parsed {
        encoder.pair(name, value.as_deref()).unwrap();
    }
    assert_eq!(decode(&encoder.into_bytes()), parsed);
});

fn decode(src: &[u8]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    args::decode(&mut src.to_vec(), 0, |name, value| {
        pairs.push((name.to_vec(), value.map(<[u8]>::to_vec)));
    });
    pairs
}

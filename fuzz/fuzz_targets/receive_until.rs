//! `receiveuntil`: what is handed out, the pattern and what is held back make up the stream.
#![no_main]

use codec::receive_until::{Call, ReceiveUntil, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u8, u8, &[u8])| {
    let (pattern, cut, want, stream) = input;
    let Ok(mut reader) = ReceiveUntil::new(pattern, false) else { return };
    let cut = usize::from(cut).max(1);
    let mut rest = stream;
    let mut seen = Vec::new();

    while !rest.is_empty() {
        if reader.begin(usize::from(want)) == Call::End {
            continue;
        }
        let mut status = Status::NeedMore;
        while status == Status::NeedMore && !rest.is_empty() {
            let piece = &rest[..cut.min(rest.len())];
            let fed = reader.feed(piece, &mut seen);
            assert!(fed.status != Status::NeedMore || fed.consumed == piece.len());
            rest = &rest[fed.consumed..];
            status = fed.status;
        }
        if status == Status::Found {
            assert!(reader.held().is_empty());
            seen.extend_from_slice(pattern);
        }
    }

    seen.extend_from_slice(reader.held());
    assert_eq!(seen, stream);
});

//! `receiveuntil`: what is handed out, the pattern and what is held back make up the stream.
#![no_main]

use codec::receive_until::{Call, ReceiveUntil, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u8, u8, &[u8])| {
    let (pattern, cut, want, stream) = input;
    let Ok(mut reader) = ReceiveUntil::new(pattern, false) else { return };
    let cut = usize::from(cut).max(1);
    let mut at = 0;
    let mut seen = Vec::new();
    let mut held = 0;

    while at < stream.len() {
        if reader.begin(usize::from(want)) == Call::End {
            continue;
        }
        let mut status = Status::NeedMore;
        while status == Status::NeedMore && at < stream.len() {
            let piece = &stream[at..stream.len().min(at + cut)];
            let fed = reader.feed(piece, &mut seen).unwrap();
            assert!(fed.status != Status::NeedMore || fed.consumed == piece.len());
            at += fed.consumed;
            status = fed.status;
        }
        held = reader.held().len();
        if status == Status::Chunk {
            at -= std::mem::take(&mut held);
        }
        if status == Status::Found {
            assert!(reader.held().is_empty());
            seen.extend_from_slice(pattern);
        }
    }

    seen.extend_from_slice(pattern.get(..held).unwrap_or_default());
    assert_eq!(seen, stream);
});

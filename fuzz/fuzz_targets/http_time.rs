//! HTTP times: any text is read without a panic, and a time that was read comes back.
#![no_main]

use codec::http_time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i64, &[u8])| {
    let (time, text) = input;
    let times = [Some(time), http_time::parse_http_time(text)];

    for time in times.into_iter().flatten() {
        let mut buf = [0; http_time::HTTP_TIME_LEN];
        assert_eq!(http_time::http_time_into(time, &mut buf), Some(buf.len()));
        let shown = time.clamp(0, 253_402_300_799);
        assert_eq!(http_time::parse_http_time(&buf), Some(shown));
        assert!(http_time::cookie_time_into(time, &mut buf).is_some());
        assert!(http_time::date_time_into(time, &mut buf).is_some());
        assert!(http_time::date_into(time, &mut buf).is_some());
    }
});

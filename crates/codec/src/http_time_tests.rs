//! Tests of times: known values, a calendar that counts day by day, and a parser that follows
//! nginx's literally.

use proptest::prelude::*;

use super::*;

type Writer = fn(i64, &mut [u8]) -> Option<usize>;

fn written(write: Writer, time: i64) -> String {
    let mut buf = [0; 32];
    let len = write(time, &mut buf).unwrap();
    String::from_utf8(buf[..len].to_vec()).unwrap()
}

#[test]
fn known_times() {
    assert_eq!(written(http_time_into, 1_290_079_655), "Thu, 18 Nov 2010 11:27:35 GMT");
    assert_eq!(written(cookie_time_into, 1_290_079_655), "Thu, 18-Nov-10 11:27:35 GMT");
    assert_eq!(written(date_into, 1_290_079_655), "2010-11-18");
    assert_eq!(written(date_time_into, 1_290_079_655), "2010-11-18 11:27:35");
    assert_eq!(written(cookie_time_into, 2_145_916_799), "Thu, 31-Dec-37 23:59:59 GMT");
    assert_eq!(written(cookie_time_into, 2_145_916_800), "Fri, 01-Jan-2038 00:00:00 GMT");
    assert_eq!(written(cookie_time_into, 946_684_800), "Sat, 01-Jan-00 00:00:00 GMT");
}

#[test]
fn times_stay_within_four_digits_of_a_year() {
    assert_eq!(written(http_time_into, -5), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(written(date_time_into, i64::MIN), "1970-01-01 00:00:00");
    assert_eq!(written(http_time_into, LAST), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(written(date_time_into, i64::MAX), "9999-12-31 23:59:59");
}

#[test]
fn short_buffers_are_refused() {
    let writers: [(Writer, usize); 3] =
        [(http_time_into, HTTP_TIME_LEN), (date_into, DATE_LEN), (date_time_into, DATE_TIME_LEN)];
    for (write, len) in writers {
        assert_eq!(write(0, &mut [0; 32][..len]), Some(len));
        assert_eq!(write(0, &mut [0; 32][..len - 1]), None);
    }
    assert_eq!(cookie_time_into(LAST, &mut [0; COOKIE_TIME_MAX_LEN]), Some(COOKIE_TIME_MAX_LEN));
}

#[test]
fn reads_the_three_formats() {
    for value in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
        "Sun,06 Nov 1994 08:49:37",
        ",   06 Nuv 1994 08:49:37zzz",
    ] {
        assert_eq!(parse_http_time(value.as_bytes()), Some(784_111_777), "{value}");
    }
    assert_eq!(parse_http_time(b"x, 31-Dec-69 23:59:59"), Some(3_155_759_999));
    assert_eq!(parse_http_time(b"x, 01-Jan-70 00:00:00"), Some(0));
    assert_eq!(parse_http_time(b"Wed, 31 Dec 1969 23:59:58 GMT"), Some(-2));
    assert_eq!(parse_http_time(b"x, 00 Mar 1970 00:00:00"), Some(58 * DAY));
}

#[test]
fn refuses_malformed_times() {
    for value in [
        "",
        "Thu",
        "Thu,",
        "Thu, 18 Nov 2010",
        "Thu, 18 Nov 2010 11:27:3",
        "Thu, 18/Nov/2010 11:27:35",
        "Thu, 18 Nov-2010 11:27:35",
        "Thu, 18 Xxx 2010 11:27:35",
        "Thu, 32 Dec 2010 11:27:35",
        "Thu, 31 Nov 2010 11:27:35",
        "Thu, 29 Feb 2010 11:27:35",
        "Thu, 29 Feb 1900 11:27:35",
        "Thu, 30 Feb 2000 11:27:35",
        "Thu, 18 Nov 2010 24:27:35",
        "Thu, 18 Nov 2010 11:60:35",
        "Thu, 18 Nov 2010 11:27:60",
        "Thu, 18 Nov 2010 11-27-35",
        "Thu Nov 18 11:27:35 201",
        "Thu Nov xx 11:27:35 2010",
    ] {
        assert_eq!(parse_http_time(value.as_bytes()), None, "{value}");
    }
}

/// A slow, simple calendar to compare with.
fn count_days(mut days: i64) -> (i64, u8, u8) {
    let (mut year, mut month) = (1970, 1);
    loop {
        let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        let lengths = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for length in lengths {
            if days < length {
                return (year, month, days as u8 + 1);
            }
            days -= length;
            month += 1;
        }
        year += 1;
        month = 1;
    }
}

#[test]
fn every_day_of_a_cycle_is_right() {
    for days in 0..146_097 {
        let (year, month, day) = date_of(days);
        assert_eq!(days_of(year, month, i64::from(day)), days);
        if days % 97 == 0 || month == 2 && day > 27 {
            assert_eq!((year, month, day), count_days(days));
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_counting(time in 0..=LAST) {
        let tm = gmtime(time);
        prop_assert_eq!((tm.year, tm.month, tm.day), count_days(time / DAY));
        let clock = i64::from(tm.hour) * 3600 + i64::from(tm.minute) * 60 + i64::from(tm.second);
        prop_assert_eq!(clock, time % DAY);
    }

    #[test]
    fn what_is_written_reads_back(time in 0..=LAST) {
        prop_assert_eq!(parse_http_time(written(http_time_into, time).as_bytes()), Some(time));
        let cookie = written(cookie_time_into, time);
        if (gmtime(time).year) < 2038 {
            prop_assert_eq!(parse_http_time(cookie.as_bytes()), Some(time));
        }
    }

    #[test]
    fn the_usual_format_is_read_as_byte_by_byte(
        time in 0..=LAST,
        changes in prop::collection::vec((0..HTTP_TIME_LEN, prop_oneof![any::<u8>(), b' '..=b'~']), 0..3),
        len in 0..=HTTP_TIME_LEN,
    ) {
        let mut text = written(http_time_into, time).into_bytes();
        prop_assert_eq!(usual_date(&text), any_date(&text));
        for (at, byte) in changes {
            text[at] = byte;
        }
        text.truncate(len.max(24));
        if let Some(date) = usual_date(&text) {
            prop_assert_eq!(any_date(&text), Some(date));
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(value in "[A-Za-z]{0,4}[, ]{0,2}[0-9A-Za-z :-]{0,24}") {
        if let Some(time) = parse_http_time(value.as_bytes()) {
            prop_assert!((days_of(0, 1, 0) * DAY..=LAST).contains(&time));
        }
    }
}

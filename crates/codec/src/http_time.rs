//! Times as HTTP, cookies and Lua's clock functions write them, and the HTTP formats read back.
//!
//! Times are whole seconds since 1970. As in nginx, what is written stays within 1970 to 9999:
//! times beyond either end show as that end.

const WEEK: [[u8; 3]; 7] = [*b"Sun", *b"Mon", *b"Tue", *b"Wed", *b"Thu", *b"Fri", *b"Sat"];
const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct",
    *b"Nov", *b"Dec",
];
const DAY: i64 = 86_400;
/// 23:59:59 on December 31, 9999.
const LAST: i64 = 253_402_300_799;

/// Length of what [`http_time_into`] writes.
pub const HTTP_TIME_LEN: usize = 29;
/// The most that [`cookie_time_into`] writes.
pub const COOKIE_TIME_MAX_LEN: usize = 29;
/// Length of what [`date_into`] writes.
pub const DATE_LEN: usize = 10;
/// Length of what [`date_time_into`] writes.
pub const DATE_TIME_LEN: usize = 19;

/// A point in time by calendar and clock, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tm {
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
}

/// Breaks `time` down.
pub fn gmtime(time: i64) -> Tm {
    let time = time.clamp(0, LAST);
    let (days, clock) = (time / DAY, time % DAY);
    let (year, month, day) = date_of(days);

    Tm {
        year,
        month,
        day,
        hour: (clock / 3600) as u8,
        minute: (clock / 60 % 60) as u8,
        second: (clock % 60) as u8,
        weekday: ((days + 4) % 7) as u8,
    }
}

impl Tm {
    fn weekday_name(&self) -> [u8; 3] {
        WEEK.get(usize::from(self.weekday)).copied().unwrap_or_default()
    }

    fn month_name(&self) -> [u8; 3] {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// `11:27:35`
    fn clock(&self) -> [u8; 8] {
        let ([h, i], [m, n], [s, t]) = (two(self.hour), two(self.minute), two(self.second));
        [h, i, b':', m, n, b':', s, t]
    }

    /// `2010`
    fn year_digits(&self) -> [u8; 4] {
        let ([y, z], [a, b]) = (two((self.year / 100) as u8), two((self.year % 100) as u8));
        [y, z, a, b]
    }
}

/// The digits of a number under 100.
fn two(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}

/// Writes `Thu, 18 Nov 2010 11:27:35 GMT`. Returns the length, or `None` when `dst` is too short.
pub fn http_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    let [a, b, c] = tm.weekday_name();
    let [d, e] = two(tm.day);
    let [m, n, o] = tm.month_name();
    put(&[&[a, b, c, b',', b' ', d, e, b' ', m, n, o, b' '], &tm.year_digits(), &gmt(&tm)], dst)
}

/// Writes `Thu, 18-Nov-10 11:27:35 GMT`; the year has four digits from 2038 on. Returns the
/// length, or `None` when `dst` is too short.
pub fn cookie_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    let [a, b, c] = tm.weekday_name();
    let [d, e] = two(tm.day);
    let [m, n, o] = tm.month_name();
    let year = tm.year_digits();
    let year = if tm.year > 2037 { &year[..] } else { &year[2..] };
    put(&[&[a, b, c, b',', b' ', d, e, b'-', m, n, o, b'-'], year, &gmt(&tm)], dst)
}

/// ` 11:27:35 GMT`
fn gmt(tm: &Tm) -> [u8; 13] {
    let [a, b, c, d, e, f, g, h] = tm.clock();
    [b' ', a, b, c, d, e, f, g, h, b' ', b'G', b'M', b'T']
}

/// Writes `2010-11-18`, the form of `ngx.today`. Local time is `time` plus the zone's offset.
/// Returns the length, or `None` when `dst` is too short.
pub fn date_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    put(&[&date(&gmtime(time))], dst)
}

/// Writes `2010-11-18 11:27:35`, the form of `ngx.localtime` and `ngx.utctime`. Returns the
/// length, or `None` when `dst` is too short.
pub fn date_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    put(&[&date(&tm), b" ", &tm.clock()], dst)
}

/// `2010-11-18`
fn date(tm: &Tm) -> [u8; 10] {
    let ([a, b, c, d], [m, n], [e, f]) = (tm.year_digits(), two(tm.month), two(tm.day));
    [a, b, c, d, b'-', m, n, b'-', e, f]
}

/// Writes `parts` to the start of `dst`. Returns their length, or `None` when `dst` is too short.
fn put(parts: &[&[u8]], dst: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    for part in parts {
        dst.get_mut(at..at + part.len())?.copy_from_slice(part);
        at += part.len();
    }
    Some(at)
}

/// Reads the three formats of HTTP: `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. The name of the day and what
/// follows the time are not looked at.
pub fn parse_http_time(value: &[u8]) -> Option<i64> {
    if let Some(date) = usual_date(value) {
        return date.seconds();
    }
    let mut input = Input(value);
    let date = match input.skip_weekday()? {
        b' ' => input.asctime()?,
        _ => input.rfc()?,
    };
    date.seconds()
}

/// The date in the first format, where all of it stands at its place: nearly always.
fn usual_date(value: &[u8]) -> Option<Date> {
    #[rustfmt::skip]
    let [
        w1, w2, w3, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ',
        h1, h2, b':', i1, i2, b':', s1, s2, ..
    ] = *value else { return None };
    let ends_a_name = |byte| matches!(byte, b',' | b' ');
    if ends_a_name(w1) || ends_a_name(w2) || ends_a_name(w3) {
        return None;
    }
    let year = number(y1, y2)? * 100 + number(y3, y4)?;
    let clock = seconds_of_day(number(h1, h2)?, number(i1, i2)?, number(s1, s2)?)?;
    Some(Date { year, month: month([m1, m2, m3])?, day: number(d1, d2)?, clock })
}

/// The number with these two digits.
fn number(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

fn seconds_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// The month, from 0, by the letters that tell it from the others.
fn month(name: [u8; 3]) -> Option<u8> {
    Some(match name {
        [b'J', b'a', _] => 0,
        [b'J', _, b'n'] => 5,
        [b'J', ..] => 6,
        [b'F', ..] => 1,
        [b'M', _, b'r'] => 2,
        [b'M', ..] => 4,
        [b'A', b'p', _] => 3,
        [b'A', ..] => 7,
        [b'S', ..] => 8,
        [b'O', ..] => 9,
        [b'N', ..] => 10,
        [b'D', ..] => 11,
        _ => return None,
    })
}

struct Date {
    year: i64,
    /// 0 to 11.
    month: u8,
    day: i64,
    clock: i64,
}

impl Date {
    fn seconds(&self) -> Option<i64> {
        let month = self.month + 1;
        let last = match month {
            2 if is_leap(self.year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // A day of 00 passes in nginx, as the day before the first.
        (self.day <= last).then(|| days_of(self.year, month, self.day) * DAY + self.clock)
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn expect(&mut self, expected: u8) -> Option<()> {
        (self.byte()? == expected).then_some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        (0..count).try_fold(0, |number, _| match self.byte()? {
            digit @ b'0'..=b'9' => Some(number * 10 + i64::from(digit - b'0')),
            _ => None,
        })
    }

    /// Skips all up to the first comma or space, and the spaces after it; gives that separator.
    fn skip_weekday(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if matches!(byte, b',' | b' ') {
                let spaces = self.0.iter().take_while(|&&byte| byte == b' ').count();
                self.0 = self.0.get(spaces..)?;
                return Some(byte);
            }
        }
    }

    /// The first two formats, from the day on.
    fn rfc(&mut self) -> Option<Date> {
        let day = self.digits(2)?;
        let separator = self.byte()?;
        let month = self.month()?;
        self.expect(separator)?;
        let year = match separator {
            b' ' => self.digits(4)?,
            b'-' => match self.digits(2)? {
                year @ ..70 => 2000 + year,
                year => 1900 + year,
            },
            _ => return None,
        };
        self.expect(b' ')?;
        let clock = self.clock()?;
        Some(Date { year, month, day, clock })
    }

    /// The third format, from the month on.
    fn asctime(&mut self) -> Option<Date> {
        let month = self.month()?;
        self.byte()?;
        if self.0.first() == Some(&b' ') {
            self.byte()?;
        }
        let mut day = self.digits(1)?;
        if self.0.first() != Some(&b' ') {
            day = day * 10 + self.digits(1)?;
        }
        self.expect(b' ')?;
        let clock = self.clock()?;
        self.expect(b' ')?;
        let year = self.digits(4)?;
        Some(Date { year, month, day, clock })
    }

    fn month(&mut self) -> Option<u8> {
        month([self.byte()?, self.byte()?, self.byte()?])
    }

    fn clock(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.expect(b':')?;
        let minute = self.digits(2)?;
        self.expect(b':')?;
        let second = self.digits(2)?;
        seconds_of_day(hour, minute, second)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970 of a date in the Gregorian calendar, of the year 0 or later. The year is taken
/// to begin in March, so that the odd day of a leap year comes last.
fn days_of(year: i64, month: u8, day: i64) -> i64 {
    let months = (u32::from(month) + 9) % 12;
    // The calendar begins anew every 400 years: so many more keep the year above zero.
    let year = year as u32 + 400 - u32::from(month <= 2);
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (months * 153 + 2) / 5;
    i64::from(days) + day - 1 - ERA - EPOCH
}

/// Days of 400 years.
const ERA: i64 = 146_097;

/// Days from March 1 of year 0 to the first day of 1970.
const EPOCH: i64 = 719_468;

/// Year, month and day of a day since 1970.
fn date_of(days: i64) -> (i64, u8, u8) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

#[cfg(test)]
#[path = "http_time_tests.rs"]
mod tests;

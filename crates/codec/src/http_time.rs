//! Times as HTTP, cookies and Lua's clock functions write them, and the HTTP formats read back.
//!
//! Times are whole seconds since 1970. As in nginx, what is written stays within 1970 to 9999:
//! times beyond either end show as that end.

use std::io::Write;

const WEEK: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
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
    fn weekday_name(&self) -> &'static str {
        WEEK.get(usize::from(self.weekday)).copied().unwrap_or_default()
    }

    fn month_name(&self) -> &'static str {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or_default()
    }
}

/// Writes `Thu, 18 Nov 2010 11:27:35 GMT`. Returns the length, or `None` when `dst` is too short.
pub fn http_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    fill(dst, |dst| {
        write!(
            dst,
            "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
            tm.weekday_name(),
            tm.day,
            tm.month_name(),
            tm.year,
            tm.hour,
            tm.minute,
            tm.second
        )
    })
}

/// Writes `Thu, 18-Nov-10 11:27:35 GMT`; the year has four digits from 2038 on. Returns the
/// length, or `None` when `dst` is too short.
pub fn cookie_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    let year = if tm.year > 2037 { tm.year } else { tm.year % 100 };
    fill(dst, |dst| {
        write!(
            dst,
            "{}, {:02}-{}-{year:02} {:02}:{:02}:{:02} GMT",
            tm.weekday_name(),
            tm.day,
            tm.month_name(),
            tm.hour,
            tm.minute,
            tm.second
        )
    })
}

/// Writes `2010-11-18`, the form of `ngx.today`. Local time is `time` plus the zone's offset.
/// Returns the length, or `None` when `dst` is too short.
pub fn date_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    fill(dst, |dst| write!(dst, "{:04}-{:02}-{:02}", tm.year, tm.month, tm.day))
}

/// Writes `2010-11-18 11:27:35`, the form of `ngx.localtime` and `ngx.utctime`. Returns the
/// length, or `None` when `dst` is too short.
pub fn date_time_into(time: i64, dst: &mut [u8]) -> Option<usize> {
    let tm = gmtime(time);
    fill(dst, |dst| {
        write!(
            dst,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            tm.year, tm.month, tm.day, tm.hour, tm.minute, tm.second
        )
    })
}

fn fill(
    mut dst: &mut [u8],
    write: impl FnOnce(&mut &mut [u8]) -> std::io::Result<()>,
) -> Option<usize> {
    let room = dst.len();
    write(&mut dst).ok()?;
    Some(room - dst.len())
}

/// Reads the three formats of HTTP: `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. The name of the day and what
/// follows the time are not looked at.
pub fn parse_http_time(value: &[u8]) -> Option<i64> {
    let mut input = Input(value);
    let date = match input.skip_weekday()? {
        b' ' => input.asctime()?,
        _ => input.rfc()?,
    };
    date.seconds()
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

    /// The month, by the letters that tell it from the others.
    fn month(&mut self) -> Option<u8> {
        let name = [self.byte()?, self.byte()?, self.byte()?];
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

    fn clock(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.expect(b':')?;
        let minute = self.digits(2)?;
        self.expect(b':')?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970 of a date in the Gregorian calendar. The year is taken to begin in March, so
/// that the odd day of a leap year comes last.
fn days_of(year: i64, month: u8, day: i64) -> i64 {
    let months = (i64::from(month) + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (months * 153 + 2) / 5 + day - 1 - EPOCH
}

/// Days from March 1 of year 0 to the first day of 1970.
const EPOCH: i64 = 719_468;

/// Year, month and day of a day since 1970.
fn date_of(days: i64) -> (i64, u8, u8) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
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

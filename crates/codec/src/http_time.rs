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
    usual_date(value).or_else(|| any_date(value))?.seconds()
}

/// The date in any of the formats, read byte by byte.
fn any_date(value: &[u8]) -> Option<Date> {
    let mut input = Input(value);
    match input.skip_weekday()? {
        b' ' => input.asctime(),
        _ => input.rfc(),
    }
}

/// The date in the first format, if every part is exactly at its place, as it nearly always is.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a remainder by 32, in a table of 32")]
fn usual_date(value: &[u8]) -> Option<Date> {
    const HEAD: Shape = Shape::new(b"AAA, 00 ");
    const MONTH_AND_YEAR: Shape = Shape::new(b"??? 0000");
    const CLOCK: Shape = Shape::new(b"00:00:00");

    let text: &[u8; 25] = value.first_chunk()?;
    let word = |at: usize| text.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
    let name = [text[8], text[9], text[10]];
    let (head, head_wrong) = HEAD.read(word(0)?);
    let (year, year_wrong) = MONTH_AND_YEAR.read(word(8)?);
    let (clock, clock_wrong) = CLOCK.read(word(17)?);
    if head_wrong | year_wrong | clock_wrong != 0 || text[16] != b' ' {
        return None;
    }
    let (index, of_name) = MONTH_OF_SUM[usize::from(name[1].wrapping_add(name[2]) % 32)];
    if of_name != name {
        return None;
    }
    let number = |pairs: u64, at: usize| i64::from((pairs >> (8 * at)) as u8);
    Some(Date {
        year: number(year, 4) * 100 + number(year, 6),
        month: index,
        day: number(head, 5),
        clock: seconds_of_day(number(clock, 0), number(clock, 3), number(clock, 6))?,
    })
}

/// A pattern for eight bytes, compared all at once.
struct Shape {
    /// The bits that count.
    mask: u64,
    /// The values that they must have; for a digit, those of `0`.
    bits: u64,
    /// Added to each byte: it carries into the highest bit where the byte is more than allowed (9
    /// for digits, else 0).
    excess: u64,
}

impl Shape {
    /// `0` stands for a digit, `A` for a byte from 0x40 on, `?` for any, others for themselves.
    const fn new(shape: &[u8; 8]) -> Shape {
        let (mut mask, mut bits, mut excess) = ([0xff; 8], *shape, [0x7f; 8]);
        let mut at = 0;
        while at < shape.len() {
            match shape[at] {
                b'0' => excess[at] = 0x80 - 10,
                b'A' => (mask[at], bits[at]) = (0x40, 0x40),
                b'?' => (mask[at], bits[at]) = (0, 0),
                _ => {}
            }
            at += 1;
        }
        Shape {
            mask: u64::from_le_bytes(mask),
            bits: u64::from_le_bytes(bits),
            excess: u64::from_le_bytes(excess),
        }
    }

    /// The numbers that pairs of digits make, each at the place of its first digit; and a value
    /// that is not 0 if the bytes do not match the pattern.
    #[inline]
    fn read(&self, bytes: u64) -> (u64, u64) {
        let digits = (bytes & self.mask) ^ self.bits;
        let wrong = (digits | digits.wrapping_add(self.excess)) & 0x8080_8080_8080_8080;
        (digits.wrapping_mul(10).wrapping_add(digits >> 8), wrong)
    }
}

/// The months and their names, by the sum of the second and the third letter.
const MONTH_OF_SUM: [(u8, [u8; 3]); 32] = {
    let mut table = [(0, [0; 3]); 32];
    let mut month = 0;
    while month < MONTHS.len() {
        let [_, second, third] = MONTHS[month];
        table[second.wrapping_add(third) as usize % 32] = (month as u8, MONTHS[month]);
        month += 1;
    }
    table
};

fn seconds_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// The month, from 0, by the letters that nginx looks at.
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

#[derive(Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    /// 0 to 11.
    month: u8,
    day: i64,
    clock: i64,
}

impl Date {
    fn seconds(&self) -> Option<i64> {
        let last = *LAST_DAYS.get(usize::from(self.month))?;
        // nginx accepts a day of 00, as the day before the first.
        if self.day > last && (self.month, self.day, is_leap(self.year)) != (1, 29, true) {
            return None;
        }
        Some(days_of(self.year, self.month + 1, self.day) * DAY + self.clock)
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

/// Days since 1970 of a date in the Gregorian calendar, of the year 0 or later.
fn days_of(year: i64, month: u8, day: i64) -> i64 {
    let before = DAYS_BEFORE.get(usize::from(month)).copied().unwrap_or_default();
    // Years are counted from March, so that the leap day comes last. The calendar repeats every 400
    // years: adding 400 keeps the year above zero.
    let with_odd_day = year as u32 + 400 - u32::from(month <= 2);
    let century = with_odd_day / 100;
    let odd_days = with_odd_day / 4 - century + century / 4;
    year * 365 + i64::from(odd_days + before) + day - FIRST_DAY
}

/// The last day of each month.
const LAST_DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// Days of a year before each month (the first month is 1), without the leap day.
const DAYS_BEFORE: [u32; 13] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/// What [`days_of`] counts up to the first day of 1970; 97 is the number of leap days in 400 years.
const FIRST_DAY: i64 = 1970 * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400 + 97 + 1;

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

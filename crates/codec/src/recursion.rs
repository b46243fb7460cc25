//! Regular expressions that call themselves before they have matched anything.
//!
//! PCRE1 refuses such a call ("recursive call could loop indefinitely") when it compiles; PCRE2
//! finds out only while matching. This parser understands just enough of an expression to find a
//! group that can reach itself without a byte in between. An expression that it does not understand
//! is not refused.

use crate::fallible::Grow;

/// A group that is open.
struct Group<'p> {
    /// None for those that cannot be called by a number.
    number: Option<u32>,
    name: &'p [u8],
    /// Whether everything so far in this alternative may match the empty string.
    empty_so_far: bool,
    /// Whether an earlier alternative may match the empty string.
    empty_before: bool,
    alternatives: u32,
    kind: GroupKind,
    /// Whether white space was ignored before this group (option `x`).
    extended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    Plain,
    /// An assertion (look-around): it consumes nothing.
    Look,
    /// `(?(…)yes|no)`
    Condition,
}

/// The group that a call refers to.
enum Callee<'p> {
    Number(u32),
    Name(&'p [u8]),
}

/// The longest count in braces, or name of a class, that is looked for.
const NEAR: usize = 32;

struct Reader<'p> {
    pattern: &'p [u8],
    at: usize,
    extended: bool,
    groups: Vec<Group<'p>>,
    count: u32,
    /// Whether the item just read may match the empty string; a quantifier after it may still
    /// change that.
    last: Option<bool>,
}

/// The offset of the closing bracket of a call that reaches its own group with nothing matched.
/// `pattern` must be one that PCRE2 has compiled; `extended` says that option `x` was set.
pub fn endless_call(pattern: &[u8], extended: bool) -> Option<usize> {
    if !may_call(pattern) {
        return None;
    }
    let root = Group {
        number: Some(0),
        name: b"",
        empty_so_far: true,
        empty_before: false,
        alternatives: 1,
        kind: GroupKind::Plain,
        extended,
    };
    let groups = vec![root];
    Reader { pattern, at: 0, extended, groups, count: 0, last: None }.find()
}

/// Whether there is anything that looks like a call. If not, the pattern need not be parsed.
fn may_call(pattern: &[u8]) -> bool {
    pattern.windows(3).any(|window| match window {
        [b'(', b'?', next] => matches!(next, b'R' | b'&' | b'P' | b'+' | b'-' | b'0'..=b'9'),
        [b'\\', b'g', next] => matches!(next, b'<' | b'\''),
        _ => false,
    })
}

impl<'p> Reader<'p> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn rest(&self) -> &'p [u8] {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Reads up to and including `end`; returns what is before it.
    fn until(&mut self, end: &[u8]) -> Option<&'p [u8]> {
        let rest = self.rest();
        let len = rest.windows(end.len()).position(|window| window == end)?;
        self.at += len + end.len();
        rest.get(..len)
    }

    fn find(mut self) -> Option<usize> {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => {
                    if let Some(end) = self.escape()? {
                        return Some(end);
                    }
                }
                b'[' => self.class()?,
                b'(' => {
                    if let Some(end) = self.open()? {
                        return Some(end);
                    }
                }
                b')' => self.close()?,
                b'|' => self.alternative()?,
                b'*' | b'?' => self.quantified(true),
                b'+' => self.quantified(false),
                b'{' => self.counted(),
                b'^' | b'$' => self.item(true),
                b'#' if self.extended => {
                    self.until(b"\n")?;
                }
                _ if self.extended && byte.is_ascii_whitespace() => {}
                _ => self.item(false),
            }
        }
        None
    }

    /// The item before the current one is complete.
    fn settle(&mut self) {
        if let (Some(empty), Some(group)) = (self.last.take(), self.groups.last_mut()) {
            group.empty_so_far &= empty;
        }
    }

    fn item(&mut self, may_be_empty: bool) {
        self.settle();
        self.last = Some(may_be_empty);
    }

    /// A quantifier, with what may follow it to make it lazy or possessive.
    fn quantified(&mut self, may_be_none: bool) {
        if may_be_none {
            self.last = Some(true);
        }
        if matches!(self.peek(), Some(b'?' | b'+')) {
            self.at += 1;
        }
    }

    /// `{2}`, `{0,}`, `{0,3}`; anything else is a brace.
    fn counted(&mut self) {
        let rest = self.rest();
        let near = rest.iter().take(NEAR);
        let inner = near.copied().position(|byte| byte == b'}').and_then(|end| rest.get(..end));
        let is_count = |text: &[u8]| {
            let mut parts = text.splitn(2, |byte| *byte == b',');
            let first = parts.next().unwrap_or_default();
            let second = parts.next().unwrap_or_default();
            !first.is_empty() && first.iter().chain(second).all(u8::is_ascii_digit)
        };
        match inner.filter(|inner| is_count(inner)) {
            Some(inner) => {
                self.at += inner.len() + 1;
                let least = inner.split(|byte| *byte == b',').next().unwrap_or_default();
                self.quantified(least.iter().all(|digit| *digit == b'0'));
            }
            None => self.item(false),
        }
    }

    /// What follows a backslash; `Some(Some(…))` for an endless call, `None` where reading ends.
    fn escape(&mut self) -> Option<Option<usize>> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'Q' => {
                let literal = self.until(b"\\E")?;
                if !literal.is_empty() {
                    self.item(false);
                }
            }
            b'E' => {}
            b'b' | b'B' | b'A' | b'Z' | b'z' | b'G' | b'K' => self.item(true),
            b'g' if matches!(self.peek(), Some(b'<' | b'\'')) => {
                let end: &[u8] = if self.peek() == Some(b'<') { b">" } else { b"'" };
                self.at += 1;
                let callee = self.until(end)?;
                return self.call(callee, self.at - 1);
            }
            b'x' | b'o' | b'p' | b'P' | b'N' | b'g' | b'k' => {
                if self.peek() == Some(b'{') {
                    self.until(b"}")?;
                }
                self.item(false);
            }
            b'c' => {
                self.at += 1;
                self.item(false);
            }
            _ => self.item(false),
        }
        Some(None)
    }

    /// A class, behind its opening bracket.
    fn class(&mut self) -> Option<()> {
        self.take(b"^");
        self.take(b"]");
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b']' => break,
                b'\\' if self.take(b"Q") => {
                    self.until(b"\\E")?;
                }
                b'\\' => self.at += 1,
                b'[' if matches!(self.peek(), Some(b':' | b'.' | b'=')) => self.posix(),
                _ => {}
            }
        }
        self.item(false);
        Some(())
    }

    /// `[:alpha:]`, behind its bracket; what only looks like it is left alone.
    fn posix(&mut self) {
        let rest = self.rest();
        let end = rest.iter().take(NEAR).position(|byte| *byte == b']').unwrap_or(0);
        let mark = rest.first();
        if end > 1 && end.checked_sub(1).and_then(|at| rest.get(at)) == mark {
            self.at += end + 1;
        }
    }

    /// What an opening bracket begins.
    fn open(&mut self) -> Option<Option<usize>> {
        if self.take(b"*") {
            self.until(b")")?;
            return Some(None);
        }
        if !self.take(b"?") {
            self.count += 1;
            self.push(Some(self.count), b"", GroupKind::Plain);
            return Some(None);
        }
        if self.take(b"#") || self.take(b"C") {
            self.until(b")")?;
        } else if self.take(b":") || self.take(b">") {
            self.push(None, b"", GroupKind::Plain);
        } else if self.take(b"=") || self.take(b"!") || self.take(b"<=") || self.take(b"<!") {
            self.push(None, b"", GroupKind::Look);
        } else if self.take(b"P<") || self.take(b"<") {
            let name = self.until(b">")?;
            self.named(name);
        } else if self.take(b"'") {
            let name = self.until(b"'")?;
            self.named(name);
        } else if self.take(b"(") {
            self.condition()?;
        } else if self.take(b"P=") {
            self.until(b")")?;
            self.item(false);
        } else if self.is_call() {
            let _ = self.take(b"P>") || self.take(b"&");
            let callee = self.until(b")")?;
            return self.call(callee, self.at - 1);
        } else {
            self.flags()?;
        }
        Some(None)
    }

    fn is_call(&self) -> bool {
        match self.rest() {
            [b'R' | b'&' | b'0'..=b'9', ..] | [b'P', b'>', ..] => true,
            [b'+' | b'-', next, ..] => next.is_ascii_digit(),
            _ => false,
        }
    }

    fn push(&mut self, number: Option<u32>, name: &'p [u8], kind: GroupKind) {
        self.settle();
        let extended = self.extended;
        let group = Group {
            number,
            name,
            empty_so_far: true,
            empty_before: false,
            alternatives: 1,
            kind,
            extended,
        };
        if self.groups.try_push(group).is_err() {
            // No memory to remember the group: give up the search.
            self.at = self.pattern.len();
        }
    }

    fn named(&mut self, name: &'p [u8]) {
        self.count += 1;
        self.push(Some(self.count), name, GroupKind::Plain);
    }

    /// `(?(…)`: an assertion is read like any other.
    fn condition(&mut self) -> Option<()> {
        self.push(None, b"", GroupKind::Condition);
        if matches!(self.peek(), Some(b'?' | b'*')) {
            self.at -= 1;
        } else {
            self.until(b")")?;
        }
        Some(())
    }

    /// `(?i)`, `(?x-i:`. Anything else is not understood.
    fn flags(&mut self) -> Option<()> {
        let rest = self.rest();
        let len = rest.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'J' | b'U' | b'-'))?;
        let flags = rest.get(..len)?;
        let end = *rest.get(len)?;
        if !matches!(end, b')' | b':') {
            return None;
        }
        self.at += len + 1;
        if end == b':' {
            self.push(None, b"", GroupKind::Plain);
        }
        let minus = flags.iter().position(|byte| *byte == b'-').unwrap_or(flags.len());
        if let Some(x) = flags.iter().position(|byte| *byte == b'x') {
            self.extended = x < minus;
        }
        // Groups have no numbers then.
        if flags.contains(&b'n') { None } else { Some(()) }
    }

    fn alternative(&mut self) -> Option<()> {
        self.settle();
        let group = self.groups.last_mut()?;
        group.empty_before |= group.empty_so_far;
        group.empty_so_far = true;
        group.alternatives += 1;
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        self.settle();
        let group = self.groups.pop()?;
        self.extended = group.extended;
        let may_be_empty = match group.kind {
            GroupKind::Look => true,
            GroupKind::Condition if group.alternatives < 2 => true,
            GroupKind::Plain | GroupKind::Condition => group.empty_before || group.empty_so_far,
        };
        self.last = Some(may_be_empty);
        Some(())
    }

    /// A call of `callee`, whose closing bracket is at `end`.
    fn call(&mut self, callee: &'p [u8], end: usize) -> Option<Option<usize>> {
        self.settle();
        let callee = self.callee(callee)?;
        let called = self.groups.iter().position(|group| match callee {
            Callee::Number(number) => group.number == Some(number),
            Callee::Name(name) => !group.name.is_empty() && group.name == name,
        });
        let open = called.and_then(|at| self.groups.get(at..)).unwrap_or_default();
        if !open.is_empty() && open.iter().all(|group| group.empty_so_far) {
            return Some(Some(end));
        }
        self.last = Some(false);
        Some(None)
    }

    fn callee(&self, text: &'p [u8]) -> Option<Callee<'p>> {
        if text == b"R" {
            return Some(Callee::Number(0));
        }
        let (sign, digits) = match text {
            [sign @ (b'+' | b'-'), digits @ ..] => (Some(*sign), digits),
            digits => (None, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Some(Callee::Name(text));
        }
        let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Callee::Number(match sign {
            Some(b'+') => self.count.checked_add(number)?,
            Some(_) => (self.count + 1).checked_sub(number)?,
            None => number,
        }))
    }
}

#[cfg(test)]
#[path = "recursion_tests.rs"]
mod tests;

//! Replacement templates of `ngx.re.sub` and `ngx.re.gsub`: text with `$1`, `${1}` and `$$`.
//!
//! A template is parsed once into parts and rendered for every match. A number beyond the
//! captures of the match, or a group that took no part in it, renders as nothing.

use std::fmt;

use memchr::memchr;

use crate::fallible::{self, Grow, OutOfMemory, Shown};

/// Why a template was refused. `Display` gives the text for the error log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A `$` that no name or number follows; holds the whole template.
    InvalidName(Vec<u8>),
    /// `${` without `}`; holds the name.
    MissingBracket(Vec<u8>),
    /// A name instead of a number; holds it.
    NamedCapture(Vec<u8>),
    NoMemory,
}

impl From<OutOfMemory> for TemplateError {
    fn from(_: OutOfMemory) -> Self {
        TemplateError::NoMemory
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::InvalidName(text) => write!(
                f,
                "lua script: invalid capturing variable name found in \"{}\"",
                Shown(text)
            ),
            TemplateError::MissingBracket(text) => {
                write!(f, "the closing bracket in \"{}\" variable is missing", Shown(text))
            }
            TemplateError::NamedCapture(text) => write!(
                f,
                "attempt to use named capturing variable \"{}\" \
                 (named captures not supported yet)",
                Shown(text)
            ),
            TemplateError::NoMemory => f.write_str("no memory"),
        }
    }
}

impl std::error::Error for TemplateError {}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(Vec<u8>),
    /// The group with this number; zero is the whole match.
    Capture(usize),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    literal: bool,
    /// The length of all its texts.
    text_len: usize,
    /// The groups in its parts, in their order.
    groups: Vec<usize>,
}

impl Template {
    /// Parses `source`.
    pub fn parse(source: &[u8]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = source;

        while let Some(at) = memchr(b'$', rest) {
            let (text, tail) = rest.split_at(at);
            push_text(&mut parts, text)?;

            let tail = tail.get(1..).unwrap_or_default();
            rest = match tail.strip_prefix(b"$") {
                Some(after) => {
                    push_text(&mut parts, b"$")?;
                    after
                }
                None => {
                    let (number, after) = variable(tail, source)?;
                    parts.try_push(Part::Capture(number))?;
                    after
                }
            };
        }

        push_text(&mut parts, rest)?;
        let (mut text_len, mut groups) = (0, Vec::new());
        for part in &parts {
            match part {
                Part::Text(text) => text_len += text.len(),
                Part::Capture(number) => groups.try_push(*number)?,
            }
        }
        Ok(Template { parts, literal: memchr(b'$', source).is_none(), text_len, groups })
    }

    /// True when the source has no `$`: it is its own replacement.
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The length of what [`Template::render_with`] gives. `capture` gives the length of a group.
    #[inline]
    pub fn rendered_len(&self, capture: impl Fn(usize) -> usize) -> usize {
        let lengths = self.groups.iter().map(|number| capture(*number));
        lengths.fold(self.text_len, usize::saturating_add)
    }

    /// Hands the replacement to `put`, piece after piece: [`Template::rendered_len`] bytes in all.
    /// `capture` gives the text of a group, empty where there is none.
    #[inline]
    pub fn render_with<'s>(&self, capture: impl Fn(usize) -> &'s [u8], mut put: impl FnMut(&[u8])) {
        for part in &self.parts {
            put(match part {
                Part::Text(text) => text,
                Part::Capture(number) => capture(*number),
            });
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &[u8]) -> Result<(), OutOfMemory> {
    match parts.last_mut() {
        _ if text.is_empty() => Ok(()),
        Some(Part::Text(last)) => last.try_append(text),
        _ => parts.try_push(Part::Text(fallible::copy(text)?)),
    }
}

/// Reads what follows a `$`: the number of a group, and the rest of the template.
fn variable<'a>(tail: &'a [u8], source: &[u8]) -> Result<(usize, &'a [u8]), TemplateError> {
    let refused = |text, why: fn(Vec<u8>) -> TemplateError| match fallible::copy(text) {
        Ok(text) => why(text),
        Err(OutOfMemory) => TemplateError::NoMemory,
    };
    let invalid = || refused(source, TemplateError::InvalidName);

    let (bracket, body) = match tail.strip_prefix(b"{") {
        Some(body) => (true, body),
        None => (false, tail),
    };
    let is_number = body.first().ok_or_else(invalid)?.is_ascii_digit();
    let belongs = |&byte: &u8| match is_number {
        true => byte.is_ascii_digit(),
        false => byte.is_ascii_alphanumeric() || byte == b'_',
    };
    let len = body.iter().position(|byte| !belongs(byte)).unwrap_or(body.len());
    let (name, after) = body.split_at(len);

    let after = match (bracket, after.strip_prefix(b"}")) {
        (false, _) => after,
        (true, Some(after)) => after,
        (true, None) => return Err(refused(name, TemplateError::MissingBracket)),
    };
    if name.is_empty() {
        return Err(invalid());
    }
    if !is_number {
        return Err(refused(name, TemplateError::NamedCapture));
    }

    let number = name.iter().fold(0usize, |number, digit| {
        number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    });
    Ok((number, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GROUPS: [&[u8]; 3] = [b"whole", b"", b"two"];

    fn group(number: usize) -> &'static [u8] {
        GROUPS.get(number).copied().unwrap_or_default()
    }

    fn render(source: &str) -> Result<String, String> {
        let template = Template::parse(source.as_bytes()).map_err(|error| error.to_string())?;
        let mut dst = Vec::new();
        template.render_with(group, |piece| dst.extend_from_slice(piece));
        assert_eq!(template.rendered_len(|number| group(number).len()), dst.len());
        Ok(String::from_utf8(dst).unwrap())
    }

    #[test]
    fn captures_and_dollars() {
        for (source, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("[$0]", "[whole]"),
            ("[$1][$2][${2}x][$3]", "[][two][twox][]"),
            ("$$1 $$$2$$", "$1 $two$"),
            ("$2a${2}2$0", "twoatwo2whole"),
            ("$02", "two"),
            ("$99999999999999999999999", ""),
        ] {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn errors_quote_what_they_refuse() {
        let invalid = "lua script: invalid capturing variable name found in";
        for source in ["$", "a$", "${", "[$0] [${", "$-", "${}", "$ 1", "$}"] {
            assert_eq!(render(source), Err(format!("{invalid} \"{source}\"")));
        }
        for (source, name) in
            [("${1", "1"), ("[${134", "134"), ("${1a}", "1"), ("${-", ""), ("${ab-", "ab")]
        {
            assert_eq!(
                render(source),
                Err(format!("the closing bracket in \"{name}\" variable is missing"))
            );
        }
        for source in ["$hello", "[${hello}]", "$hello-", "$_1"] {
            let name = source.trim_matches(|c: char| "[]${}-".contains(c));
            assert_eq!(
                render(source),
                Err(format!(
                    "attempt to use named capturing variable \"{name}\" \
                     (named captures not supported yet)"
                ))
            );
        }
    }

    #[test]
    fn literals_are_known() {
        assert!(Template::parse(b"abc").unwrap().is_literal());
        assert!(!Template::parse(b"a$$c").unwrap().is_literal());
    }

    /// A slow, simple version to compare with.
    fn reference(source: &str) -> Option<String> {
        let token =
            regex::Regex::new(r"^(?s:\$(?<dollar>\$)|\$\{(?<a>\d+)\}|\$(?<b>\d+)|(?<text>[^$]))")
                .unwrap();
        let mut out = String::new();
        let mut rest = source;
        while !rest.is_empty() {
            let found = token.captures(rest)?;
            if let Some(number) = found.name("a").or(found.name("b")) {
                let number = number.as_str().parse().unwrap_or(usize::MAX);
                out.push_str(std::str::from_utf8(group(number)).unwrap());
            } else if let Some(text) = found.name("dollar").or(found.name("text")) {
                out.push_str(text.as_str());
            }
            rest = &rest[found.get(0).unwrap().end()..];
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn agrees_with_an_expression(source in "[$0-3{}a]{0,12}|([$]\\{?[0-3]\\}?|[$][$]|a){0,6}") {
            prop_assert_eq!(render(&source).ok(), reference(&source));
        }
    }
}

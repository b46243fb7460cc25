//! The browsers that nginx tells apart by `User-Agent`, for its work-arounds
//! (`msie_padding`, `gzip_disable`, `modern_browser`).

use memchr::memmem;

/// What nginx's flags say; all false for a browser that it does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Browser {
    pub msie: bool,
    /// Internet Explorer 4 to 6, version 6 only without `SV1` (that of Windows XP Service Pack 2).
    pub msie6: bool,
    pub opera: bool,
    pub gecko: bool,
    pub chrome: bool,
    pub safari: bool,
    pub konqueror: bool,
}

/// Recognises a browser.
pub fn browser(user_agent: &[u8]) -> Browser {
    let has = |text: &[u8]| memmem::find(user_agent, text).is_some();
    if has(b"Opera") {
        return Browser { opera: true, ..Browser::default() };
    }
    if let Some(rest) = after_msie(user_agent) {
        return Browser { msie: true, msie6: is_old_msie(rest), ..Browser::default() };
    }
    Browser {
        gecko: has(b"Gecko/"),
        chrome: !has(b"Gecko/") && has(b"Chrome/"),
        safari: !has(b"Gecko/") && !has(b"Chrome/") && has(b"Safari/") && has(b"Mac OS X"),
        ..Browser::default()
    }
    .or_konqueror(has(b"Konqueror"))
}

impl Browser {
    /// Adds Konqueror, if it is none of the other browsers.
    fn or_konqueror(self, named: bool) -> Browser {
        Browser { konqueror: named && self == Browser::default(), ..self }
    }
}

/// The version and what follows it, of at least three bytes.
fn after_msie(user_agent: &[u8]) -> Option<&[u8]> {
    let at = memmem::find(user_agent, b"MSIE ")?;
    user_agent.get(at + 5..).filter(|rest| rest.len() >= 3)
}

fn is_old_msie(version: &[u8]) -> bool {
    match version {
        [b'4' | b'5', b'.', ..] => true,
        [b'6', b'.', rest @ ..] => memmem::find(rest, b"SV1").is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_recognised() {
        let none = Browser::default();
        for (name, expected) in [
            ("", none),
            ("curl/7.88.1", none),
            (
                "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
                Browser { msie: true, msie6: true, ..none },
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)",
                Browser { msie: true, ..none },
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 5.0; Windows 98)",
                Browser { msie: true, msie6: true, ..none },
            ),
            ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0)", Browser { msie: true, ..none }),
            ("MSIE 4.", none),
            (
                "Mozilla/4.0 (compatible; MSIE 5.0; Windows NT 5.1) Opera 7.02",
                Browser { opera: true, ..none },
            ),
            (
                "Mozilla/5.0 (X11; rv:109.0) Gecko/20100101 Firefox/115.0",
                Browser { gecko: true, ..none },
            ),
            (
                "Mozilla/5.0 (Macintosh; Mac OS X) (KHTML, like Gecko) Chrome/110 Safari/537",
                Browser { chrome: true, ..none },
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/16 Safari/605",
                Browser { safari: true, ..none },
            ),
            ("Mozilla/5.0 (compatible; Konqueror/3.5; Linux)", Browser { konqueror: true, ..none }),
        ] {
            assert_eq!(browser(name.as_bytes()), expected, "{name}");
        }
    }
}

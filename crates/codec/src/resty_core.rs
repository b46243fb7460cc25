//! Which release of this module a lua-resty-core wants, as the source of its `resty.core.base`
//! says.
//!
//! Each release compares `ngx.config.ngx_lua_version` with one number, in a condition whose error
//! reads `ngx_http_lua_module 0.10.23 required`; there is another for nginx's stream module. The
//! number that counts is the last one compared before the first text that names the http module.
//! Where none can be read, as in compiled code, the error's text says it. Where the check has been
//! removed, lua-resty-core's own version does: the file ends in `_M.version = "0.1.25"`.

use memchr::memmem;

const COMPARED: &[u8] = b"ngx_lua_version";
const HTTP_MODULE: &[u8] = b"ngx_http_lua_module ";
/// How the versions of lua-resty-core begin.
const VERSION: &[u8] = b"0.1.";

/// The first version of [`RELEASES`]: 0.1.25.
const FIRST_VERSION: u32 = 25;
/// What the versions of lua-resty-core from 0.1.25 to 0.1.33 compare with.
const RELEASES: [u32; 9] = [10_023, 10_024, 10_025, 10_026, 10_027, 10_027, 10_028, 10_029, 10_030];

/// The release that `source` wants: 10023 for 0.10.23. `None` where it makes no comparison and is
/// of no version that is known here.
pub fn wanted_release(source: &[u8]) -> Option<u32> {
    let code: Vec<&[u8]> = source.split(|&byte| byte == b'\n').map(without_comment).collect();
    let code = code.join(&b'\n');
    demanded(&code).or_else(|| release_for(version(&code)?))
}

/// The number that `code` compares `ngx_lua_version` with for nginx's http module, or else the
/// release in the text of the error.
fn demanded(code: &[u8]) -> Option<u32> {
    let end = memmem::find(code, HTTP_MODULE)?;
    let gate = code.get(..end)?;
    let numbers = memmem::find_iter(gate, COMPARED);
    let compared = numbers.filter_map(|at| compared_number(gate.get(at + COMPARED.len()..)?));
    compared.last().or_else(|| named_release(code.get(end + HTTP_MODULE.len()..)?))
}

/// The last part of the last `0.1.25` in `code`.
fn version(code: &[u8]) -> Option<u32> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let begins = |at: &usize| !code.get(..*at).and_then(<[u8]>::last).is_some_and(is_part);
    let places = memmem::find_iter(code, VERSION).filter(begins);
    places.filter_map(|at| Some(number(code.get(at + VERSION.len()..)?)?.0)).last()
}

/// The release that version 0.1.`version` of lua-resty-core wants; for an older one than 0.1.25,
/// what that wants.
fn release_for(version: u32) -> Option<u32> {
    RELEASES.get(version.saturating_sub(FIRST_VERSION) as usize).copied()
}

/// A line up to the first `--`, which begins a comment. (None of the strings before the
/// comparison has one in it.)
fn without_comment(line: &[u8]) -> &[u8] {
    memmem::find(line, b"--").and_then(|at| line.get(..at)).unwrap_or(line)
}

/// The number of `~= 10023` or `== 10023` at the start of `text`.
fn compared_number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii_start();
    let operand = text.strip_prefix(b"~=").or_else(|| text.strip_prefix(b"=="))?;
    Some(number(operand.trim_ascii_start())?.0)
}

/// The release that `text` begins with, as its number: 10023 for `0.10.23`.
fn named_release(text: &[u8]) -> Option<u32> {
    let (major, text) = number(text)?;
    let (minor, text) = number(text.strip_prefix(b".")?)?;
    let (patch, _) = number(text.strip_prefix(b".")?)?;
    major.checked_mul(1_000_000)?.checked_add(minor.checked_mul(1000)?)?.checked_add(patch)
}

/// The number that `text` begins with, and what follows it.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// A release's number as people write it: `0.10.23` for 10023.
pub fn release_name(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "
local subsystem = ngx.config.subsystem
if subsystem == 'http' then
    if not ngx.config
       or not ngx.config.ngx_lua_version
       or ngx.config.ngx_lua_version ~= 10028
    then
        error(\"ngx_http_lua_module 0.10.28 required\")
    end
elseif subsystem == 'stream' then
    if ngx.config.ngx_lua_version ~= 16 then
        error(\"ngx_stream_lua_module 0.0.16 required\")
    end
end
";

    #[test]
    fn takes_the_number_of_the_http_module() {
        assert_eq!(wanted_release(BASE.as_bytes()), Some(10_028));
        let compact =
            b"if ngx.config.ngx_lua_version~=10024 then error('ngx_http_lua_module 0.10.24')";
        assert_eq!(wanted_release(compact), Some(10_024));
    }

    #[test]
    fn takes_it_after_the_stream_modules_too() {
        let (http, stream) = BASE.split_once("elseif").unwrap();
        let swapped = format!("if {stream} {http}");
        assert_eq!(wanted_release(swapped.as_bytes()), Some(10_028));
    }

    #[test]
    fn leaves_comments_out() {
        let source = BASE.replace(
            "\n    then",
            "\n -- ngx.config.ngx_lua_version ~= 1 for ngx_http_lua_module 0.0.1\n    then",
        );
        assert_eq!(wanted_release(source.as_bytes()), Some(10_028));
    }

    #[test]
    fn takes_it_from_the_error_where_it_reads_no_comparison() {
        let sources: [&[u8]; 4] = [
            b"\x1bLJ\x02\x0fngx_lua_version\x25ngx_http_lua_module 0.10.28 required\x0b0.1.25",
            b"ngx_lua_version ~= wanted; error('ngx_http_lua_module 0.10.28 required')",
            b"ngx_lua_version ~= 99999999999999999999 ngx_http_lua_module 0.10.28",
            b"ngx_http_lua_module 0.10.28 ngx_lua_version ~= 10025",
        ];
        for source in sources {
            assert_eq!(wanted_release(source), Some(10_028), "{}", source.escape_ascii());
        }
    }

    #[test]
    fn goes_by_the_version_where_there_is_no_check() {
        let of = |version: &str| {
            let source = format!("local older = '0.1.7'\n_M.version = \"{version}\" -- 0.1.99\n");
            wanted_release(source.as_bytes())
        };
        let known = [("20", 10_023), ("25", 10_023), ("26", 10_024), ("29", 10_027)];
        let newer = [("30", 10_027), ("31", 10_028), ("32", 10_029), ("33", 10_030)];
        for (version, release) in known.into_iter().chain(newer) {
            assert_eq!(of(&format!("0.1.{version}")), Some(release), "0.1.{version}");
        }
        assert_eq!(of("0.1.33rc2"), Some(10_030));
        assert_eq!(of("0.1.34"), None);
        assert_eq!(of("0.1."), Some(10_023), "the one before");
    }

    #[test]
    fn finds_none_in_other_text() {
        let sources: [&[u8]; 6] = [
            b"",
            b"if ngx.config.ngx_lua_version ~= 10028 then",
            b"ngx_lua_version ~= wanted; error('ngx_http_lua_module ' .. wanted)",
            b"ngx_http_lua_module 0.10 required",
            b"version = '2.0.1.25' .. '10.1.25'",
            b"version = '0.1.' .. minor",
        ];
        for source in sources {
            assert_eq!(wanted_release(source), None, "{}", source.escape_ascii());
        }
    }

    #[test]
    fn names_releases() {
        assert_eq!(release_name(10_023), "0.10.23");
        assert_eq!(release_name(1_002_003), "1.2.3");
    }
}

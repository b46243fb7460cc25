//! Which release of this module a lua-resty-core wants, as the source of its `resty.core.base` says.
//!
//! Each release compares `ngx.config.ngx_lua_version` with one number, in a condition whose error
//! reads `ngx_http_lua_module 0.10.23 required`; there is another for nginx's stream module. The
//! number that counts is the last one compared before the first text that names the http module.

use memchr::memmem;

const COMPARED: &[u8] = b"ngx_lua_version";
const HTTP_MODULE: &[u8] = b"ngx_http_lua_module ";

/// The number that `source` compares `ngx_lua_version` with for nginx's http module: 10023 for
/// 0.10.23. `None` where it makes no such comparison.
pub fn demanded_release(source: &[u8]) -> Option<u32> {
    let code: Vec<&[u8]> = source.split(|&byte| byte == b'\n').map(without_comment).collect();
    let code = code.join(&b'\n');
    let end = memmem::find(&code, HTTP_MODULE)?;
    let gate = code.get(..end)?;
    let numbers = memmem::find_iter(gate, COMPARED);
    numbers.filter_map(|at| compared_number(gate.get(at + COMPARED.len()..)?)).last()
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
    let operand = operand.trim_ascii_start();
    let end = operand.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(operand.len());
    std::str::from_utf8(operand.get(..end)?).ok()?.parse().ok()
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
        assert_eq!(demanded_release(BASE.as_bytes()), Some(10_028));
        let compact =
            b"if ngx.config.ngx_lua_version~=10024 then error('ngx_http_lua_module 0.10.24')";
        assert_eq!(demanded_release(compact), Some(10_024));
    }

    #[test]
    fn takes_it_after_the_stream_modules_too() {
        let (http, stream) = BASE.split_once("elseif").unwrap();
        let swapped = format!("if {stream} {http}");
        assert_eq!(demanded_release(swapped.as_bytes()), Some(10_028));
    }

    #[test]
    fn leaves_comments_out() {
        let source = BASE.replace(
            "\n    then",
            "\n -- ngx.config.ngx_lua_version ~= 1 for ngx_http_lua_module 0.0.1\n    then",
        );
        assert_eq!(demanded_release(source.as_bytes()), Some(10_028));
    }

    #[test]
    fn finds_none_in_other_text() {
        let sources: [&[u8]; 6] = [
            b"",
            b"\x1bLJ\x02ngx_lua_version\x00ngx_http_lua_module 0.10.28 required",
            b"if ngx.config.ngx_lua_version ~= 10028 then",
            b"ngx_lua_version ~= wanted; error('ngx_http_lua_module 0.10.28 required')",
            b"ngx_lua_version ~= 99999999999999999999 ngx_http_lua_module ",
            b"ngx_http_lua_module 0.10.28 ngx_lua_version ~= 10028",
        ];
        for source in sources {
            assert_eq!(demanded_release(source), None, "{}", source.escape_ascii());
        }
    }

    #[test]
    fn names_releases() {
        assert_eq!(release_name(10_023), "0.10.23");
        assert_eq!(release_name(1_002_003), "1.2.3");
    }
}

//! Names of Lua chunks, as tracebacks and error messages show them.
//!
//! Inline code needs no treatment of its own: nginx has already resolved the quotes and escapes of
//! a quoted directive, and a block is taken as it stands. What remains is its name, which LuaJIT
//! prints whole only up to 60 bytes: longer file names lose their beginning, never the line.

/// LuaJIT's limit of 60 bytes less the four of `=(:)`.
const MAX_LEN: usize = 56;
const ELLIPSIS: &str = "...";
const MAIN_FILE: &[u8] = b"/nginx.conf";

/// The name of inline code: `=content_by_lua(nginx.conf:42)`, without a trailing NUL.
///
/// `tag` is the directive without `_block`, `conf_file` the full path of the configuration file,
/// `conf_prefix` the directory that file names are shown relative to (with its slash), `line` the
/// line of the directive.
pub fn inline(tag: &str, conf_file: &[u8], conf_prefix: &[u8], line: usize) -> Vec<u8> {
    let line = line.to_string();
    let room = MAX_LEN.saturating_sub(tag.len() + line.len());
    let (ellipsis, file) = shown_file(conf_file, conf_prefix, room);

    let mut name = Vec::with_capacity(tag.len() + ellipsis.len() + file.len() + line.len() + 4);
    name.extend_from_slice(b"=");
    name.extend_from_slice(tag.as_bytes());
    name.extend_from_slice(b"(");
    name.extend_from_slice(ellipsis.as_bytes());
    name.extend_from_slice(file);
    name.extend_from_slice(b":");
    name.extend_from_slice(line.as_bytes());
    name.extend_from_slice(b")");
    name
}

/// The name of a Lua file: `@path`.
pub fn file(path: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(path.len() + 1);
    name.push(b'@');
    name.extend_from_slice(path);
    name
}

fn shown_file<'a>(
    conf_file: &'a [u8],
    conf_prefix: &[u8],
    room: usize,
) -> (&'static str, &'a [u8]) {
    if conf_file.ends_with(MAIN_FILE) {
        let start = conf_file.len() - (MAIN_FILE.len() - 1);
        return ("", conf_file.get(start..).unwrap_or(conf_file));
    }

    let path = match conf_file.strip_prefix(conf_prefix) {
        Some(relative) if !relative.is_empty() => relative,
        _ => conf_file,
    };

    if path.len() <= room {
        return ("", path);
    }

    let kept = room.saturating_sub(ELLIPSIS.len());
    (ELLIPSIS, path.get(path.len() - kept..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(tag: &str, conf_file: &str, line: usize) -> String {
        String::from_utf8(inline(tag, conf_file.as_bytes(), b"/etc/nginx/", line)).unwrap()
    }

    #[test]
    fn the_main_file_shows_its_base_name() {
        assert_eq!(
            name("content_by_lua", "/etc/nginx/nginx.conf", 42),
            "=content_by_lua(nginx.conf:42)"
        );
        assert_eq!(name("set_by_lua", "/srv/conf/nginx.conf", 1), "=set_by_lua(nginx.conf:1)");
    }

    #[test]
    fn files_under_the_prefix_show_relative() {
        assert_eq!(name("log_by_lua", "/etc/nginx/sites/a.conf", 7), "=log_by_lua(sites/a.conf:7)");
        assert_eq!(name("log_by_lua", "/srv/a.conf", 7), "=log_by_lua(/srv/a.conf:7)");
        assert_eq!(name("log_by_lua", "my-nginx.conf", 7), "=log_by_lua(my-nginx.conf:7)");
    }

    #[test]
    fn long_paths_lose_their_beginning() {
        let path = format!("/etc/nginx/{}/tail.conf", "d".repeat(60));
        let shown = name("access_by_lua", &path, 10);
        assert!(shown.starts_with("=access_by_lua(...ddd"));
        assert!(shown.ends_with("d/tail.conf:10)"));
        assert_eq!(shown.len(), 60);
    }

    #[test]
    fn files_are_marked() {
        assert_eq!(file(b"/x/y.lua"), b"@/x/y.lua");
    }

    proptest! {
        #[test]
        fn a_name_fits_unless_it_is_the_main_file(
            path in "(/etc/nginx/)?[a-z/.]{0,90}", line in 0usize..2_000_000_000,
        ) {
            let shown = name("ssl_session_fetch_by_lua", &path, line);
            prop_assert!(shown.len() <= 60);
            let tail = format!(":{line})");
            prop_assert!(shown.ends_with(&tail));
        }
    }
}

//! What is measured: one row per kind of work, each a configuration in `benches/rows/`.

use anyhow::{Result, bail};

/// One kind of work that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its file in `benches/rows/`, without `.conf`.
    pub name: &'static str,
    /// What it does, for the table.
    pub summary: &'static str,
    /// The answer's body, with either module.
    pub body: &'static str,
}

/// The row without any Lua: what nginx itself needs.
pub const BASELINE: Row =
    Row { name: "static", summary: "nginx's own `return 200`", body: "hello world\n" };

const PIECES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n";

/// The directives that only this module has: the C module does the row's work without them.
pub const OURS_ALONE: &[&str] = &["lua_coalesce_output", "lua_status;"];

/// The others, in the table's order.
pub const ROWS: &[Row] = &[
    Row { name: "hello", summary: "content: `ngx.say`", body: "hello world\n" },
    Row {
        name: "counted",
        summary: "the same, with `lua_status` elsewhere",
        body: "hello world\n",
    },
    Row { name: "access", summary: "access and content", body: "hello world\n" },
    Row { name: "pieces", summary: "content: `ngx.say`, 20 times", body: PIECES },
    Row { name: "coalesce", summary: "the same with `lua_coalesce_output on`", body: PIECES },
    Row { name: "headers", summary: "headers and arguments, read and written", body: "1\n" },
    Row { name: "headers-read", summary: "headers and arguments, read", body: "1\n" },
    Row { name: "var", summary: "`ngx.var`, read and written", body: "/row2\n" },
    Row { name: "ctx", summary: "`ngx.ctx` over two phases", body: "hello world\n" },
    Row { name: "shdict", summary: "shared dictionary: `incr`", body: "true\n" },
    Row { name: "regex", summary: "`ngx.re.match` with `jo`", body: "1234\n" },
    Row { name: "capture", summary: "capture of a static location", body: "hello world\n" },
    Row { name: "capture-proxy", summary: "capture through `proxy_pass`", body: "hello world\n" },
    Row { name: "set", summary: "`set_by_lua_block`", body: "hello world" },
    Row { name: "header-filter", summary: "header filter", body: "hello world\n" },
    Row { name: "body-filter", summary: "header and body filter", body: "hello filter\n" },
    Row { name: "log", summary: "`log_by_lua_block`", body: "hello world\n" },
    Row { name: "sleep", summary: "`ngx.sleep(0)`", body: "hello world\n" },
    Row { name: "timer", summary: "`ngx.timer.at(0)`", body: "true\n" },
    Row { name: "thread", summary: "light thread: spawn, sleep, wait", body: "hello world\n" },
    Row { name: "eof", summary: "`ngx.eof`, then work", body: "hello world\n" },
    Row { name: "cosocket", summary: "cosocket with keep-alive", body: "hello world\n" },
    Row { name: "large-receive", summary: "64 KB through a cosocket", body: "65536\n" },
    Row { name: "large-capture", summary: "capture of 64 KB", body: "65536\n" },
    Row {
        name: "large-filter",
        summary: "capture of 64 KB through `proxy_pass` and a body filter",
        body: "65536\n",
    },
];

/// The rows with these names; all where none is named.
///
/// Errors: a name that no row has.
pub fn named(names: &[String]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in names {
        match ROWS.iter().find(|row| row.name == name) {
            Some(row) => rows.push(*row),
            None => bail!("no row \"{name}\"; there are {}", all_names()),
        }
    }
    Ok(if names.is_empty() { ROWS.to_vec() } else { rows })
}

/// As [`named`], but those of `default` where none is named.
pub fn named_or(names: &[String], default: &[&str]) -> Result<Vec<Row>> {
    match names {
        [] => named(&default.iter().map(|name| name.to_string()).collect::<Vec<_>>()),
        names => named(names),
    }
}

/// What the row with this name does.
pub fn summary(name: &str) -> &'static str {
    let mut rows = std::iter::once(&BASELINE).chain(ROWS);
    rows.find(|row| row.name == name).map_or("", |row| row.summary)
}

fn all_names() -> String {
    ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn every_row_has_its_file_and_every_file_its_row() {
        let dir = paths::root().join("benches/rows");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let all = ROWS.iter().chain([&BASELINE]);
        let mut wanted: Vec<String> = all.map(|row| format!("{}.conf", row.name)).collect();
        wanted.sort();
        assert_eq!(files, wanted);
    }

    #[test]
    fn every_file_for_njs_has_a_row() {
        let dir = paths::root().join("benches/njs");
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let rows = names.filter_map(|name| name.strip_suffix(".conf").map(String::from));
        let rows: Vec<String> =
            rows.filter(|name| name != "nginx" && name != BASELINE.name).collect();
        assert!(rows.len() > 3 && named(&rows).is_ok(), "{rows:?}");
    }

    #[test]
    fn an_unknown_row_is_named() {
        assert_eq!(named(&["hello".into()]).unwrap(), [ROWS[0]]);
        let error = named(&["helo".into()]).unwrap_err().to_string();
        assert!(error.contains("\"helo\"") && error.contains("hello, counted"), "{error}");
    }
}

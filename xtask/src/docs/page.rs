//! The pages in Markdown.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::directives::{Directive, Form};
use super::entry::{Entry, Family, Message};
use super::example::{example, fenced};
use super::function::Function;
use super::phases::PhaseSet;

/// Stands below the title of each page.
pub const MADE: &str =
    "<!-- Made by `cargo xtask docs` from docs/source/ and the tables in src/. -->";

/// A page that is written by hand but for its head.
pub fn plain(title: &str, text: &str) -> String {
    format!("# {title}\n\n{MADE}\n\n{}\n", text.trim())
}

/// `docs/api.md`.
pub fn api(intro: &str, families: &[Family], functions: &[Function]) -> Result<String> {
    let mut page = start("The Lua API", intro, families);
    for family in families {
        family_start(&mut page, family);
        for entry in &family.entry {
            let function = functions.iter().find(|function| function.name == entry.name);
            let function = function.with_context(|| format!("{} has no place", entry.name))?;
            heading(&mut page, &entry.name);
            let syntax = entry.syntax.as_deref();
            let syntax = syntax.with_context(|| format!("{} has no syntax", entry.name))?;
            for way in syntax.lines() {
                writeln!(page, "- **syntax:** `{way}`")?;
            }
            writeln!(page, "- **phases:** {}", function.allowed.shown())?;
            if let Some(waits) = &entry.waits {
                let all = function.allowed.phases;
                let can = super::phases::Where::of(PhaseSet(all.0 & PhaseSet::YIELDABLE.0));
                match all == can.phases && !function.allowed.init {
                    true => writeln!(page, "- **waits:** {waits}")?,
                    false => writeln!(page, "- **waits:** {waits}, in {}", can.shown())?,
                }
            }
            body(&mut page, entry)?;
        }
    }
    Ok(page)
}

/// `docs/directives.md`.
pub fn directives(intro: &str, families: &[Family], table: &[Directive]) -> Result<String> {
    let mut page = start("Directives", intro, families);
    for family in families {
        family_start(&mut page, family);
        for entry in &family.entry {
            let rows = rows_of(entry, table);
            ensure!(!rows.is_empty(), "no directive is called {}", entry.name);
            for (at, row) in rows.iter().enumerate() {
                directive(&mut page, entry, row)?;
                if at == 0 {
                    body(&mut page, entry)?;
                } else {
                    let first = &rows[0].name;
                    let form = match row.form {
                        Some(Form::File) => "a file",
                        _ => "a string of nginx's",
                    };
                    writeln!(page, "\nThe same as [{first}](#{first}), with the code in {form}.")?;
                }
            }
        }
    }
    Ok(page)
}

/// The directives that an entry is about: one, or the forms of `NAME*`, the block first.
pub fn rows_of<'t>(entry: &Entry, table: &'t [Directive]) -> Vec<&'t Directive> {
    let is_named = |row: &&Directive| match entry.name.strip_suffix('*') {
        Some(base) => {
            let rest = row.name.strip_prefix(base);
            rest.is_some_and(|rest| ["", "_block", "_file"].contains(&rest))
        }
        None => row.name == entry.name,
    };
    let mut rows: Vec<&Directive> = table.iter().filter(is_named).collect();
    rows.sort_by_key(|row| match row.form {
        Some(Form::Block) | None => 0,
        Some(Form::File) => 1,
        Some(Form::Inline) => 2,
    });
    rows
}

fn directive(page: &mut String, entry: &Entry, row: &Directive) -> Result<()> {
    let name = &row.name;
    heading(page, name);
    let syntax = row.syntax.or(entry.syntax.as_deref());
    let syntax = syntax.with_context(|| format!("{name} has no syntax"))?;
    writeln!(page, "- **syntax:** `{name} {syntax}`")?;
    let default = row.default.as_deref().or(entry.default.as_deref());
    if row.form.is_none() {
        let default = default.with_context(|| format!("{name} has no default"))?;
        match default {
            "none" => writeln!(page, "- **default:** none")?,
            default if default.contains('`') => writeln!(page, "- **default:** {default}")?,
            default => writeln!(page, "- **default:** `{name} {default};`")?,
        }
    }
    writeln!(page, "- **context:** {}", row.contexts.join(", "))?;
    if let Some(phase) = row.phase {
        writeln!(page, "- **phase:** `{phase}`")?;
    }
    Ok(())
}

fn start(title: &str, intro: &str, families: &[Family]) -> String {
    let mut page = format!("# {title}\n\n{MADE}\n\n{}\n", intro.trim());
    for family in families {
        let names: Vec<String> = family
            .entry
            .iter()
            .map(|entry| format!("[{}]({})", entry.name.replace('*', "\\*"), link(&entry.name)))
            .collect();
        let _ = write!(page, "\n**{}:** {}\n", family.title, names.join(", "));
    }
    page
}

fn family_start(page: &mut String, family: &Family) {
    let _ = write!(page, "\n## {}\n", family.title);
    if let Some(text) = &family.text {
        let _ = write!(page, "\n{}\n", text.trim());
    }
    if let Some(http) = &family.http {
        let _ =
            write!(page, "\nThe examples have in the `http` block:\n\n{}", fenced("nginx", http));
    }
}

fn heading(page: &mut String, name: &str) {
    let _ = write!(page, "\n### {name}\n\n");
}

/// The target of a link to an entry.
pub fn link(name: &str) -> String {
    format!("#{}", anchor(name))
}

/// The anchor that readers of Markdown give a heading.
pub fn anchor(name: &str) -> String {
    let name = match name.strip_suffix('*') {
        Some(base) => format!("{base}_block"),
        None => name.to_lowercase(),
    };
    let kept = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// All of an entry below its syntax.
fn body(page: &mut String, entry: &Entry) -> Result<()> {
    if let Some(since) = &entry.since {
        writeln!(page, "- **since:** lua-nginx-module {since}")?;
    }
    write!(page, "\n{}\n", entry.text.trim())?;
    messages(page, "Errors, returned as text", &entry.errors)?;
    messages(page, "Errors, raised", &entry.raises)?;
    messages(page, "In the error log", &entry.logs)?;
    if let Some(unlike) = &entry.unlike {
        write!(page, "\n**Unlike the C module:** {}\n", unlike.trim())?;
    }
    example(page, &entry.example)
}

fn messages(page: &mut String, title: &str, messages: &[Message]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    write!(page, "\n{title}:\n\n")?;
    for message in messages {
        let text = with_names(message.text());
        match message.when() {
            Some(when) => writeln!(page, "- `{text}`: {when}")?,
            None => writeln!(page, "- `{text}`")?,
        }
    }
    Ok(())
}

/// `{name}` as `NAME`.
fn with_names(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, inside, after)) = rest
        .split_once('{')
        .and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)))
    {
        shown += before;
        shown += &if inside.is_empty() { "…".to_string() } else { inside.to_uppercase() };
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_messages_are_named() {
        assert_eq!(with_names("pass {n} of {}: {x"), "pass N of …: {x");
    }

    #[test]
    fn anchors_are_those_of_the_headings() {
        assert_eq!(anchor("ngx.req.get_headers"), "ngxreqget_headers");
        assert_eq!(anchor("ngx.var.VARIABLE"), "ngxvarvariable");
        assert_eq!(anchor("content_by_lua*"), "content_by_lua_block");
    }
}

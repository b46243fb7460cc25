//! The text source of the reference: a file of TOML per family, below `docs/source/`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::paths;

/// A family: a part of a page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Its file's name.
    #[serde(skip)]
    pub name: String,
    /// Its place on the page.
    pub order: u32,
    pub title: String,
    pub text: Option<String>,
    /// The folders and files below `src/api/` that have the rows of its functions.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Lines of the `http` block that all of its examples have.
    pub http: Option<String>,
    pub entry: Vec<Entry>,
}

/// A function or variable, or a directive with its forms (`content_by_lua*`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    /// How it is called; lines, where there are several ways. For a directive: what follows its name.
    pub syntax: Option<String>,
    /// The name in the row of a function, where it is not the last word of `name`.
    pub row: Option<String>,
    /// Where a function without a row may be called (see `Where::parse`), or where a method can, because
    /// its object can be there.
    pub phases: Option<String>,
    /// When a function waits.
    pub waits: Option<String>,
    /// The value of a directive that is missing, where no table knows it.
    pub default: Option<String>,
    /// The release of the C module that brought it, after 0.10.23.
    pub since: Option<String>,
    /// False for what is no function that Lua code finds under the name.
    #[serde(default = "yes")]
    pub function: bool,
    /// A Lua expression that uses it, to see where it is refused; a call without arguments if there is none.
    pub probe: Option<String>,
    pub text: String,
    /// Texts that are returned as the error.
    #[serde(default)]
    pub errors: Vec<Message>,
    /// Texts of errors that are raised.
    #[serde(default)]
    pub raises: Vec<Message>,
    /// Texts in the error log.
    #[serde(default)]
    pub logs: Vec<Message>,
    /// What is different in the C module.
    pub unlike: Option<String>,
    #[serde(default)]
    pub example: Example,
}

fn yes() -> bool {
    true
}

/// A text that the module writes, byte for byte, and when it does. `{…}` stands for a value.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Message {
    Text([String; 1]),
    When(String, String),
}

impl Message {
    pub fn text(&self) -> &str {
        match self {
            Message::Text([text]) | Message::When(text, _) => text,
        }
    }

    pub fn when(&self) -> Option<&str> {
        match self {
            Message::Text(_) => None,
            Message::When(_, when) => Some(when),
        }
    }
}

/// An example, and what a request of it gives.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The code of a location's `content_by_lua_block`.
    pub lua: Option<String>,
    /// The content of a server block.
    pub config: Option<String>,
    /// Lines in the `http` block.
    pub http: Option<String>,
    /// Lines outside of it.
    pub main: Option<String>,
    /// `GET /t` if there is none.
    pub request: Option<String>,
    /// Headers of the request.
    pub headers: Option<String>,
    pub status: Option<u16>,
    /// The body of the response.
    pub response: Option<String>,
    /// A regular expression that it matches.
    pub response_like: Option<String>,
    /// Headers of the response.
    pub response_headers: Option<String>,
    /// Lines of the error log have these texts in them.
    pub log: Option<String>,
}

impl Example {
    pub fn is_there(&self) -> bool {
        self.lua.is_some() || self.config.is_some() || self.http.is_some() || self.main.is_some()
    }

    /// Whether it says what a request gives.
    pub fn is_asserted(&self) -> bool {
        self.status.is_some()
            || self.response.is_some()
            || self.response_like.is_some()
            || self.response_headers.is_some()
            || self.log.is_some()
    }
}

/// The families in `docs/source/DIR`, in their order.
pub fn read(dir: &str) -> Result<Vec<Family>> {
    let dir = paths::root().join("docs/source").join(dir);
    let files = paths::below(&dir, "toml")?;
    let mut families: Vec<Family> = files.iter().map(|path| family(path)).collect::<Result<_>>()?;
    families.sort_by_key(|family| family.order);
    Ok(families)
}

fn family(path: &Path) -> Result<Family> {
    let text = fs::read_to_string(path)?;
    let mut family: Family =
        toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    family.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(family)
}

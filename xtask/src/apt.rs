//! A private apt configuration, which fetches packages of the machine's Debian release or of another
//! one without touching the machine's own.
//!
//! The package sources are the machine's own ones of its release, asked for sources; for another
//! release, with that one's name in the place of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Such a configuration, with its lists of packages.
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// That of the machine's own release, kept in `dir`.
    pub fn of_machine(dir: PathBuf) -> Result<Self> {
        Self::with_lists(dir, None)
    }

    /// That of the Debian release `release`, kept in `dir`.
    pub fn of_release(dir: PathBuf, release: &str) -> Result<Self> {
        Self::with_lists(dir, Some(release))
    }

    fn with_lists(dir: PathBuf, release: Option<&str>) -> Result<Self> {
        for below in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(below))?;
        }
        write_source_lists(&dir.join("parts"), release)?;
        let apt = Self { dir };
        apt.run(&["update"], Path::new("/")).context("cannot fetch the lists of packages")?;
        Ok(apt)
    }

    /// Fetches and unpacks the source package `package` into `into`.
    pub fn source(&self, package: &str, into: &Path) -> Result<()> {
        self.run(&["source", package], into)
            .with_context(|| format!("cannot fetch the source package {package}"))
    }

    /// Fetches what Debian's source package `package` is made from, as its authors have released it,
    /// into `into`.
    pub fn original(&self, package: &str, into: &Path) -> Result<()> {
        self.run(&["source", "--tar-only", package], into)
            .with_context(|| format!("cannot fetch the source of the package {package}"))
    }

    /// Fetches the package `package` into `into`.
    pub fn package(&self, package: &str, into: &Path) -> Result<()> {
        self.run(&["download", package], into)
            .with_context(|| format!("cannot fetch the package {package}"))
    }

    fn run(&self, words: &[&str], dir: &Path) -> Result<()> {
        let option = |name: &str, below: &str| format!("{name}={}", self.dir.join(below).display());
        let options = [
            "Dir::Etc::SourceList=/dev/null".to_string(),
            option("Dir::Etc::SourceParts", "parts"),
            option("Dir::State::Lists", "lists"),
            option("Dir::Cache", "cache"),
            "APT::Sandbox::User=root".to_string(),
            "Acquire::Languages=none".to_string(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_string(),
        ];
        let mut command = Command::new("apt-get");
        command.arg("-q").args(options.iter().flat_map(|option| ["-o", option])).args(words);
        fs::create_dir_all(dir)?;
        let log = self.dir.join(format!("{}.log", words[0]));
        shell::run_logged(command.current_dir(dir), &log)
    }
}

fn write_source_lists(parts: &Path, other: Option<&str>) -> Result<()> {
    let own = release_name(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let etc = Path::new("/etc/apt");
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut found = false;
    for (n, file) in files.iter().enumerate() {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let (text, extension) = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => (source_lines(&text, &own, other), "list"),
            Some("sources") => (source_stanzas(&text, &own, other), "sources"),
            _ => continue,
        };
        if !text.is_empty() {
            found = true;
            fs::write(parts.join(format!("{n}.{extension}")), text)?;
        }
    }
    if !found {
        bail!("no package sources of the release \"{own}\" are configured for apt");
    }
    Ok(())
}

fn release_name(os_release: &str) -> String {
    let name = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().trim_matches('"').to_string()
}

/// Whether `suite` belongs to `release`: itself, or one of its update suites.
fn of_release(suite: &str, release: &str) -> bool {
    suite.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The suites among `words` that are wanted: those of the release `own`, or, if `other` is given, that in
/// the place of `own` itself.
fn wanted_suites<'a>(
    words: impl Iterator<Item = &'a str>,
    own: &str,
    other: Option<&'a str>,
) -> Vec<&'a str> {
    match other {
        None => words.filter(|suite| of_release(suite, own)).collect(),
        Some(other) => words.filter(|suite| *suite == own).map(|_| other).collect(),
    }
}

/// What is asked for: sources, and of another release packages too.
fn kinds(other: Option<&str>) -> &'static [&'static str] {
    if other.is_some() { &["deb", "deb-src"] } else { &["deb-src"] }
}

/// The lines of a one-line-style list with what is wanted.
fn source_lines(text: &str, own: &str, other: Option<&str>) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        // The suite follows the address, which follows the options in brackets.
        let at = rest.find(']').map_or(0, |end| end + 1);
        let (options, rest) = rest.split_at(at);
        let mut words = rest.split_whitespace();
        let (Some(address), Some(suite)) = (words.next(), words.next()) else { continue };
        let components = words.collect::<Vec<_>>().join(" ");
        for suite in wanted_suites(std::iter::once(suite), own, other) {
            for kind in kinds(other) {
                let words = [kind, options, address, suite, &components];
                let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
                result.push_str(&words.join(" "));
                result.push('\n');
            }
        }
    }
    result
}

/// The stanzas of a deb822-style list with what is wanted.
fn source_stanzas(text: &str, own: &str, other: Option<&str>) -> String {
    let mut result = String::new();
    for stanza in text.split("\n\n") {
        let lines = stanza.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        let field =
            |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let binary = field("Types:").split_whitespace().any(|kind| kind == "deb");
        let suites = wanted_suites(field("Suites:").split_whitespace(), own, other);
        if !binary || suites.is_empty() {
            continue;
        }
        let (types, suites) = (kinds(other).join(" "), suites.join(" "));
        for line in &lines {
            let line = match line.split_once(':') {
                Some(("Types", _)) => format!("Types: {types}"),
                Some(("Suites", _)) => format!("Suites: {suites}"),
                _ => line.to_string(),
            };
            result.push_str(&line);
            result.push('\n');
        }
        result.push('\n');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources_of_the_release_are_asked_for_sources() {
        let text = "# deb x y main\ndeb [signed-by=/k arch=b] file:/mirror trixie main\n\
                    deb file:/other sdk-trixie main\ndeb file:/mirror trixie-updates main\n";
        let wanted = "deb-src [signed-by=/k arch=b] file:/mirror trixie main\n\
                      deb-src file:/mirror trixie-updates main\n";
        assert_eq!(source_lines(text, "trixie", None), wanted);
        let of_other = "deb [signed-by=/k arch=b] file:/mirror sid main\n\
                        deb-src [signed-by=/k arch=b] file:/mirror sid main\n";
        assert_eq!(source_lines(text, "trixie", Some("sid")), of_other);
    }

    #[test]
    fn stanzas_of_the_release_are_asked_for_sources() {
        let text = "Types: deb\n# note\nURIs: file:/mirror\nSuites: trixie trixie-updates\n\n\
                    Types: deb\nURIs: file:/other\nSuites: nodistro\n\n\
                    Types: deb\nURIs: file:/security\nSuites: trixie-security\n\n\
                    Types: deb-src\nURIs: file:/mirror\nSuites: trixie\n";
        let wanted = "Types: deb-src\nURIs: file:/mirror\nSuites: trixie trixie-updates\n\n\
                      Types: deb-src\nURIs: file:/security\nSuites: trixie-security\n\n";
        assert_eq!(source_stanzas(text, "trixie", None), wanted);
        let of_other = "Types: deb deb-src\nURIs: file:/mirror\nSuites: sid\n\n";
        assert_eq!(source_stanzas(text, "trixie", Some("sid")), of_other);
    }

    #[test]
    fn the_release_is_the_machines() {
        assert_eq!(release_name("ID=debian\nVERSION_CODENAME=trixie\n"), "trixie");
    }
}

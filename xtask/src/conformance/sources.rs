//! Where things come from: Debian's nginx modules, and a private apt configuration that can fetch
//! source packages without touching the machine's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, shell};

const MODULES: &str = "/usr/lib/nginx/modules";

/// Debian's file of an nginx module.
pub fn debian_module(file: &str) -> Result<PathBuf> {
    let path = Path::new(MODULES).join(file);
    if !path.is_file() {
        bail!("{} is missing: its Debian package is not installed", path.display());
    }
    Ok(path)
}

/// The modules that lua-nginx-module's suite uses, in the order of loading: `lua` among the side modules.
/// set-misc needs ndk before it; the rest follows the order of Debian's own configuration.
pub fn side_modules(lua: PathBuf) -> Result<Vec<PathBuf>> {
    let mut modules = vec![debian_module("ndk_http_module.so")?];
    for file in ["ngx_http_echo_module.so", "ngx_http_headers_more_filter_module.so"] {
        modules.push(debian_module(file)?);
    }
    modules.push(lua);
    for file in [
        "ngx_http_memc_module.so",
        "ngx_http_set_misc_module.so",
        "ngx_http_srcache_filter_module.so",
        "ngx_stream_module.so",
    ] {
        modules.push(debian_module(file)?);
    }
    Ok(modules)
}

/// Fetches and unpacks the source package `package` into `into`.
///
/// The package sources are the machine's own binary ones of its release, asked for sources.
pub fn fetch_source(package: &str, into: &Path) -> Result<()> {
    let apt = paths::target("conformance/apt");
    for dir in ["parts", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(dir))?;
    }
    write_source_lists(&apt.join("parts"))?;
    let option = |name: &str, below: &str| format!("{name}={}", apt.join(below).display());
    let options = [
        "Dir::Etc::SourceList=/dev/null".to_string(),
        option("Dir::Etc::SourceParts", "parts"),
        option("Dir::State::Lists", "lists"),
        option("Dir::Cache", "cache"),
        "APT::Sandbox::User=root".to_string(),
    ];
    let apt_get = |words: &[&str], log: &str| {
        let mut command = Command::new("apt-get");
        command.arg("-q").args(options.iter().flat_map(|option| ["-o", option])).args(words);
        command.current_dir(into);
        shell::run_logged(&mut command, &apt.join(log))
    };
    fs::create_dir_all(into)?;
    apt_get(&["update"], "update.log").context("cannot fetch the lists of source packages")?;
    apt_get(&["source", package], "source.log")
        .with_context(|| format!("cannot fetch the source package {package}"))
}

fn write_source_lists(parts: &Path) -> Result<()> {
    let release = release_name(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let etc = Path::new("/etc/apt");
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut found = false;
    for (n, file) in files.iter().enumerate() {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let (text, extension) = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => (source_lines(&text, &release), "list"),
            Some("sources") => (source_stanzas(&text, &release), "sources"),
            _ => continue,
        };
        if !text.is_empty() {
            found = true;
            fs::write(parts.join(format!("{n}.{extension}")), text)?;
        }
    }
    if !found {
        bail!("no package sources of the release \"{release}\" are configured for apt");
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

/// The lines of a one-line-style list, each asking for sources.
fn source_lines(text: &str, release: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        if rest.split_whitespace().any(|word| of_release(word, release)) {
            result.push_str(&format!("deb-src {rest}\n"));
        }
    }
    result
}

/// The stanzas of a deb822-style list, each asking for sources.
fn source_stanzas(text: &str, release: &str) -> String {
    let mut result = String::new();
    for stanza in text.split("\n\n") {
        let lines = stanza.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        let field =
            |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let binary = field("Types:").split_whitespace().any(|kind| kind == "deb");
        let ours = field("Suites:").split_whitespace().any(|suite| of_release(suite, release));
        if !binary || !ours {
            continue;
        }
        for line in &lines {
            let line = if line.starts_with("Types:") { "Types: deb-src" } else { line };
            result.push_str(line);
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
        let text = "# deb x y main\ndeb [signed-by=/k] file:/mirror trixie main\n\
                    deb file:/other sdk-trixie main\ndeb file:/mirror trixie-updates main\n";
        let wanted = "deb-src [signed-by=/k] file:/mirror trixie main\n\
                      deb-src file:/mirror trixie-updates main\n";
        assert_eq!(source_lines(text, "trixie"), wanted);
    }

    #[test]
    fn stanzas_of_the_release_are_asked_for_sources() {
        let text = "Types: deb\n# note\nURIs: file:/mirror\nSuites: trixie trixie-updates\n\n\
                    Types: deb\nURIs: file:/other\nSuites: nodistro\n\n\
                    Types: deb-src\nURIs: file:/mirror\nSuites: trixie\n";
        let wanted = "Types: deb-src\nURIs: file:/mirror\nSuites: trixie trixie-updates\n\n";
        assert_eq!(source_stanzas(text, "trixie"), wanted);
    }

    #[test]
    fn the_release_is_the_machines() {
        assert_eq!(release_name("ID=debian\nVERSION_CODENAME=trixie\n"), "trixie");
    }
}

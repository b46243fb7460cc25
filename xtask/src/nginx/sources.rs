//! Where nginx's sources are found: Debian's package, the crate `nginx-src`, and the trees that the
//! developer has put below one directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::options::NginxChoice;
use crate::shell;

/// Where Debian's package nginx-dev puts the sources.
pub const DEBIAN: &str = "/usr/share/nginx/src";
/// The variable that names the directory of further source trees.
const MORE: &str = "NGINX_SOURCES";

/// `dir`, if it has nginx's sources, as an absolute path.
pub fn checked(dir: &Path) -> Result<PathBuf> {
    if !dir.join("src/core/nginx.h").is_file() {
        bail!("no nginx source in {}", dir.display());
    }
    dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))
}

/// The version of the nginx whose sources are in `dir`.
pub fn version(dir: &Path) -> Result<String> {
    let header = dir.join("src/core/nginx.h");
    let text =
        fs::read_to_string(&header).with_context(|| format!("cannot read {}", header.display()))?;
    let version = version_in(&text);
    version.with_context(|| format!("{} has no NGINX_VERSION", header.display()))
}

fn version_in(header: &str) -> Option<String> {
    let line = header.lines().find(|line| line.starts_with("#define NGINX_VERSION"))?;
    Some(line.split('"').nth(1)?.to_string())
}

/// What the tree of `dir` is called here: as its directory is.
pub fn name_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    // Its configured twin is `target/NAME`, beside cargo's own directories.
    if name.contains("nginx") || name.contains("angie") {
        return name.into_owned();
    }
    format!("nginx-{name}")
}

/// The sources of `version`, wherever they are: Debian's, the crate's, or `nginx-VERSION` or
/// `VERSION` below NGINX_SOURCES.
pub fn of_version(wanted: &str) -> Result<NginxChoice> {
    let is_wanted = |dir: &Path| version(dir).is_ok_and(|version| version == wanted);
    if is_wanted(Path::new(DEBIAN)) {
        return Ok(NginxChoice::Installed);
    }
    let further = at_hand()?;
    let named = |dir: &&PathBuf| {
        let name = name_of(dir);
        name == wanted || name.strip_prefix("nginx-") == Some(wanted)
    };
    if let Some(dir) = further.iter().find(named) {
        return Ok(NginxChoice::Sources(dir.clone()));
    }
    if is_wanted(&vendored()?) {
        return Ok(NginxChoice::Vendored);
    }
    bail!(
        "no sources of nginx {wanted}: neither Debian's nginx-dev nor the crate nginx-src has that \
         version, and {MORE} names no directory with nginx-{wanted}"
    )
}

/// The trees below the directory that NGINX_SOURCES names, in order; none where it is not set.
///
/// Errors: it names no directory, or one without any nginx.
pub fn at_hand() -> Result<Vec<PathBuf>> {
    let Some(dir) = std::env::var_os(MORE).map(PathBuf::from) else { return Ok(Vec::new()) };
    let entries = fs::read_dir(&dir).with_context(|| format!("{MORE}: {}", dir.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        found.extend(checked(&entry?.path()));
    }
    if found.is_empty() {
        bail!("{MORE}: no nginx source below {}", dir.display());
    }
    found.sort();
    Ok(found)
}

/// The nginx source inside the crate `nginx-src`, fetched by cargo if need be.
pub fn vendored() -> Result<PathBuf> {
    let metadata = shell::output(shell::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--features",
        "xtask/nginx-vendored",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata's output")?;
    let source = crate_dir(&metadata, "nginx-src").context("cargo knows no crate nginx-src")?;
    checked(&source.join("nginx")).context("the crate nginx-src")
}

fn crate_dir(metadata: &Value, name: &str) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let package = packages.iter().find(|package| package["name"] == name)?;
    Some(Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_found_by_its_name() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "other", "manifest_path": "/a/other/Cargo.toml" },
            { "name": "nginx-src", "manifest_path": "/a/nginx-src/Cargo.toml" },
        ]});
        assert_eq!(crate_dir(&metadata, "nginx-src"), Some(PathBuf::from("/a/nginx-src")));
        assert_eq!(crate_dir(&metadata, "nginx-sys"), None);
    }

    #[test]
    fn the_version_is_read_from_the_header() {
        let header = "#define nginx_version      1028003\n#define NGINX_VERSION      \"1.28.3\"\n";
        assert_eq!(version_in(header).as_deref(), Some("1.28.3"));
        assert_eq!(version_in("#define NGINX_VER \"nginx\"\n"), None);
    }

    #[test]
    fn a_tree_is_called_as_its_directory() {
        assert_eq!(name_of(Path::new("/src/nginx-1.26.3")), "nginx-1.26.3");
        assert_eq!(name_of(Path::new("/src/freenginx-1.27.1")), "freenginx-1.27.1");
        assert_eq!(name_of(Path::new("/src/release")), "nginx-release");
    }
}

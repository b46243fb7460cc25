//! A configured nginx source tree: what the module is compiled against, and the binary it runs on.
//!
//! nginx's `configure` writes into its own directory, and the sources may be read-only. So a tree
//! is a directory of links to them under `target/`, configured once, and again only when its flags
//! or the sources' version change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::options::NginxChoice;
use crate::{paths, shell};

/// Where Debian's package nginx-dev puts the sources.
const DEBIAN_SOURCE: &str = "/usr/share/nginx/src";
/// Debian's nginx.
pub const DEBIAN_BINARY: &str = "/usr/sbin/nginx";
/// What a vendored nginx is built with: Debian's features, without its paths.
const VENDORED_FLAGS: &[&str] = &[
    "--error-log-path=stderr",
    "--with-compat",
    "--with-debug",
    "--with-pcre-jit",
    "--with-threads",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--with-http_realip_module",
    "--with-http_addition_module",
    "--with-http_auth_request_module",
    "--with-http_dav_module",
    "--with-http_gunzip_module",
    "--with-http_gzip_static_module",
    "--with-http_random_index_module",
    "--with-http_secure_link_module",
    "--with-http_slice_module",
    "--with-http_stub_status_module",
    "--with-http_sub_module",
    "--with-stream",
    "--with-stream_ssl_module",
    "--with-stream_ssl_preread_module",
    "--with-stream_realip_module",
];

/// What a minimal one is built with: no TLS, no threads, no layouts compatible with other builds; the
/// module is one that test files take as an example of a filter.
const MINIMAL_FLAGS: &[&str] = &["--error-log-path=stderr", "--with-http_sub_module"];

/// A configured nginx.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The sources: NGINX_SOURCE_DIR of the module's build.
    pub source_dir: PathBuf,
    /// What `configure` made of them: NGINX_BUILD_DIR of the module's build.
    pub build_dir: PathBuf,
    /// The server that the module is loaded into.
    pub binary: PathBuf,
}

impl Tree {
    /// Finds or makes the tree for `choice`.
    ///
    /// Errors: the sources are not there, or could not be configured or built.
    pub fn prepare(choice: NginxChoice) -> Result<Self> {
        match choice {
            NginxChoice::Vendored => vendored("nginx-vendored", VENDORED_FLAGS),
            NginxChoice::Minimal => vendored("nginx-minimal", MINIMAL_FLAGS),
            NginxChoice::Installed => match given()? {
                Some(tree) => Ok(tree),
                None => debian(),
            },
        }
    }
}

/// The tree that the caller's environment names, if it names one.
fn given() -> Result<Option<Tree>> {
    // cargo sets both, from .cargo/config.toml, to the tree that `debian` makes: see there.
    let named = |name: &str, own: PathBuf| {
        std::env::var_os(name).map(PathBuf::from).filter(|path| *path != own)
    };
    let source = named("NGINX_SOURCE_DIR", paths::target("nginx-debian"));
    let build = named("NGINX_BUILD_DIR", paths::target("nginx-debian/objs"));
    let (source_dir, build_dir) = match (source, build) {
        (None, None) => return Ok(None),
        (Some(source), Some(build)) => (source, build),
        (Some(source), None) => (source.clone(), source.join("objs")),
        (None, Some(build)) => {
            let parent = build.parent().context("NGINX_BUILD_DIR has no parent directory")?;
            (parent.to_path_buf(), build)
        }
    };
    let header = build_dir.join("ngx_auto_config.h");
    if !header.is_file() {
        bail!("NGINX_BUILD_DIR: no {}: run nginx's configure first", header.display());
    }
    if !source_dir.join("src/core/nginx.h").is_file() {
        bail!("NGINX_SOURCE_DIR: no nginx source in {}", source_dir.display());
    }
    let built = build_dir.join("nginx");
    let binary = if built.is_file() { built } else { PathBuf::from(DEBIAN_BINARY) };
    Ok(Some(Tree { source_dir, build_dir, binary }))
}

fn debian() -> Result<Tree> {
    let sources = Path::new(DEBIAN_SOURCE);
    if !sources.join("configure").is_file() {
        bail!("no {DEBIAN_SOURCE}/configure: is the Debian package nginx-dev installed?");
    }
    let flags = fs::read_to_string(sources.join("conf_flags"))
        .with_context(|| format!("cannot read {DEBIAN_SOURCE}/conf_flags"))?;
    let source_dir = paths::target("nginx-debian");
    // conf_flags is a bash array, as Debian's own module packages read it.
    let script =
        "source ./conf_flags && exec bash ./configure --builddir=objs \"${NGX_CONF_FLAGS[@]}\"";
    let mut command = Command::new("bash");
    command.args(["-c", script]);
    let version = fs::read_to_string(sources.join("src/core/nginx.h"))?;
    configure(&source_dir, sources, &format!("{flags}\n{version}"), &mut command)?;
    Ok(Tree { build_dir: source_dir.join("objs"), source_dir, binary: DEBIAN_BINARY.into() })
}

/// The vendored source, configured with `flags` and built in `target/DIR`.
fn vendored(dir: &str, flags: &[&str]) -> Result<Tree> {
    let sources = vendored_source()?;
    let source_dir = paths::target(dir);
    let stamp = format!("{}\n{}", sources.display(), flags.join(" "));
    let script = if sources.join("configure").is_file() { "configure" } else { "auto/configure" };
    let mut command = Command::new("sh");
    command.arg(script).arg("--builddir=objs").args(flags);
    configure(&source_dir, &sources, &stamp, &mut command)?;
    let build_dir = source_dir.join("objs");
    let binary = build_dir.join("nginx");
    if !binary.is_file() {
        println!("building nginx from {}", sources.display());
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut make = Command::new("make");
        make.current_dir(&source_dir).args(["-f", "objs/Makefile", "-j"]).arg(jobs.to_string());
        shell::run_logged(make.arg("binary"), &source_dir.join("make.log"))?;
    }
    Ok(Tree { source_dir, build_dir, binary })
}

/// Runs `command`, a configure with `--builddir=objs`, in a directory of links to `sources`,
/// unless that has been done with the same `stamp`.
fn configure(dir: &Path, sources: &Path, stamp: &str, command: &mut Command) -> Result<()> {
    let stamp_file = dir.join("configured");
    if fs::read_to_string(&stamp_file).is_ok_and(|done| done == stamp) {
        return Ok(());
    }
    println!("configuring the nginx sources of {}", sources.display());
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for entry in fs::read_dir(sources).with_context(|| format!("{}", sources.display()))? {
        let entry = entry?;
        symlink(entry.path(), dir.join(entry.file_name()))?;
    }
    shell::run_logged(command.current_dir(dir), &dir.join("configure.log"))?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

/// The nginx source inside the crate `nginx-src`, fetched by cargo if need be.
fn vendored_source() -> Result<PathBuf> {
    let metadata = shell::output(shell::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--features",
        "xtask/nginx-vendored",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata's output")?;
    let source = crate_dir(&metadata, "nginx-src").context("cargo knows no crate nginx-src")?;
    let source = source.join("nginx");
    if !source.join("src/core/nginx.h").is_file() {
        bail!("the crate nginx-src holds no nginx source in {}", source.display());
    }
    Ok(source)
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
}

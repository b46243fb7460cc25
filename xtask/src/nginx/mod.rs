//! A configured nginx source tree: what the module is compiled against, and the binary it runs on.
//!
//! nginx's `configure` writes into its own directory, and the sources may be read-only. So a tree
//! is a directory of links to them under `target/`, configured once, and again only when its flags
//! or the sources' version change.

mod sources;
mod with_module;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::options::NginxChoice;
use crate::{paths, shell};
pub use sources::{at_hand, name_of, version};

/// Debian's nginx.
pub const DEBIAN_BINARY: &str = "/usr/sbin/nginx";
/// What the server is called that `make` leaves: nginx's own, or Angie's.
const BINARIES: &[&str] = &["nginx", "angie"];
/// What the tests need, beside what nginx has anyway. A flag that an nginx does not know is left out.
const ALL_FLAGS: &[&str] = &[
    "--error-log-path=stderr",
    "--with-compat",
    "--with-debug",
    "--with-pcre-jit",
    "--with-poll_module",
    "--with-threads",
    "--with-http_ssl_module",
    "--with-http_v2_module",
    "--with-http_v3_module",
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
    pub fn prepare(choice: &NginxChoice) -> Result<Self> {
        match choice {
            NginxChoice::Vendored => built(&sources::vendored()?, "nginx-vendored", ALL_FLAGS),
            NginxChoice::Minimal => built(&sources::vendored()?, "nginx-minimal", MINIMAL_FLAGS),
            NginxChoice::Sources(dir) => {
                let dir = sources::checked(dir)?;
                built(&dir, &name_of(&dir), ALL_FLAGS)
            }
            NginxChoice::Version(version) => Self::prepare(&sources::of_version(version)?),
            NginxChoice::Installed => match given()? {
                Some(tree) => Ok(tree),
                None => debian(),
            },
        }
    }

    /// Debian's tree, configured in `target/DIR` for the processor of the compiler `cc`; `prepare` sets what
    /// configure needs to run that processor's programs.
    pub fn cross(dir: &str, cc: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        configured_as_debians(dir, &[&format!("--with-cc={}", cc.display())], prepare)
    }

    /// The variables that name the tree, to the module's build and to tests that compile C modules.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("NGINX_SOURCE_DIR", &self.source_dir), ("NGINX_BUILD_DIR", &self.build_dir)]
    }

    /// Whether it is Angie's, for which the crate ngx does not compile.
    pub fn is_angies(&self) -> bool {
        self.source_dir.join("src/core/angie.h").is_file()
    }

    /// Whether it is that of Debian's nginx.
    pub fn is_debians(&self) -> bool {
        self.source_dir == paths::target("nginx-debian")
    }
}

/// The tree that the caller's environment names, if it names one.
fn given() -> Result<Option<Tree>> {
    // cargo sets both, from .cargo/config.toml, to the tree that `debian` makes: see there.
    let named = |name: &str, own: PathBuf| {
        std::env::var_os(name).map(|path| paths::plain(path.into())).filter(|path| *path != own)
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
    let source_dir = sources::checked(&source_dir).context("NGINX_SOURCE_DIR")?;
    let binary = binary_of(&build_dir).unwrap_or_else(|| DEBIAN_BINARY.into());
    Ok(Some(Tree { source_dir, build_dir, binary }))
}

fn debian() -> Result<Tree> {
    configured_as_debians("nginx-debian", &[], |_| {})
}

/// Debian's sources, configured with Debian's flags and `more` in `target/DIR`.
fn configured_as_debians(
    dir: &str,
    more: &[&str],
    prepare: impl FnOnce(&mut Command),
) -> Result<Tree> {
    let sources = sources::checked(Path::new(sources::DEBIAN))
        .context("is the Debian package nginx-dev installed?")?;
    let flags = fs::read_to_string(sources.join("conf_flags"))
        .with_context(|| format!("cannot read {}/conf_flags", sources.display()))?;
    let source_dir = paths::target(dir);
    // conf_flags is a bash array, as Debian's own module packages read it.
    let script = "source ./conf_flags \
                  && exec bash ./configure --builddir=objs \"${NGX_CONF_FLAGS[@]}\" \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "configure"]).args(more);
    prepare(&mut command);
    let version = fs::read_to_string(sources.join("src/core/nginx.h"))?;
    let stamp = format!("{flags}\n{version}{}", more.join(" "));
    configure(&source_dir, &sources, &stamp, &mut command)?;
    Ok(Tree { build_dir: source_dir.join("objs"), source_dir, binary: DEBIAN_BINARY.into() })
}

/// `sources`, configured with those of `flags` that they know, and built, in `target/DIR`.
fn built(sources: &Path, dir: &str, flags: &[&str]) -> Result<Tree> {
    let source_dir = configured(sources, dir, flags, "")?;
    let build_dir = source_dir.join("objs");
    let binary = match binary_of(&build_dir) {
        Some(binary) => binary,
        None => make(&source_dir, &version(sources)?)?,
    };
    Ok(Tree { source_dir, build_dir, binary })
}

/// The directory `target/DIR` with `sources`, configured with those of `flags` that they know; anew where
/// what configure has `read` beside is not the same.
fn configured(sources: &Path, dir: &str, flags: &[&str], read: &str) -> Result<PathBuf> {
    let source_dir = paths::target(dir);
    let known = fs::read_to_string(sources.join("auto/options"))
        .with_context(|| format!("cannot read {}/auto/options", sources.display()))?;
    let flags: Vec<_> = flags.iter().copied().filter(|flag| is_known(flag, &known)).collect();
    let version = version(sources)?;
    let stamp = format!("{}\n{version}\n{}\n{read}", sources.display(), flags.join(" "));
    // A release has its configure beside its auto/, a checkout in there.
    let script = if sources.join("configure").is_file() { "configure" } else { "auto/configure" };
    let mut command = Command::new("sh");
    command.arg(script).arg("--builddir=objs").args(flags);
    configure(&source_dir, sources, &stamp, &mut command)?;
    Ok(source_dir)
}

/// Builds the server of a configured tree, and returns it.
fn make(source_dir: &Path, version: &str) -> Result<PathBuf> {
    println!("building nginx {version} in {}", source_dir.display());
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut make = Command::new("make");
    make.current_dir(source_dir).args(["-f", "objs/Makefile", "-j"]).arg(jobs.to_string());
    let log = source_dir.join("make.log");
    shell::run_logged(make.arg("binary"), &log)?;
    let binary = binary_of(&source_dir.join("objs"));
    binary
        .with_context(|| format!("no {} after make: see {}", BINARIES.join(" or "), log.display()))
}

/// The server in a build directory, if it has been built.
fn binary_of(build_dir: &Path) -> Option<PathBuf> {
    BINARIES.iter().map(|name| build_dir.join(name)).find(|binary| binary.is_file())
}

/// Whether the text of nginx's `auto/options` has this flag of its configure.
fn is_known(flag: &str, options: &str) -> bool {
    let name = flag.split('=').next().unwrap_or(flag);
    options.split(['=', ')', ' ', '\n']).any(|word| word == name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_another_release_is_known_as_such() {
        let options = "  --with-http_v2_module)  HTTP_V2=YES ;;\n  --error-log-path=*) LOG= ;;\n";
        assert!(is_known("--with-http_v2_module", options));
        assert!(is_known("--error-log-path=stderr", options));
        assert!(!is_known("--with-http_v3_module", options));
        assert!(!is_known("--with-http", options));
    }
}

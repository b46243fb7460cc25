//! The options that several commands share.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

/// Which nginx the module is built for and run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NginxChoice {
    /// `debian`: Debian's packages `nginx` and `nginx-dev`, or the tree that NGINX_SOURCE_DIR and
    /// NGINX_BUILD_DIR name.
    #[default]
    Installed,
    /// `vendored`: the source that the crate `nginx-src` carries, built under `target/`.
    Vendored,
    /// `minimal`: the same source with none of nginx's optional parts.
    Minimal,
    /// A directory of sources, built under `target/`.
    Sources(PathBuf),
    /// A version whose sources are at hand.
    Version(String),
}

/// What `--help` says of it.
const NGINX_HELP: &str = "The nginx to build for: `debian` (the installed packages, or the tree that \
    NGINX_SOURCE_DIR and NGINX_BUILD_DIR name), `vendored` (the source in the crate nginx-src), \
    `minimal` (the same without TLS and threads), a directory of nginx's sources, or a version of \
    which there are sources: Debian's, the crate's, or nginx-VERSION below the directory NGINX_SOURCES";

impl FromStr for NginxChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "debian" => Self::Installed,
            "vendored" => Self::Vendored,
            "minimal" => Self::Minimal,
            _ if text.contains('/') || Path::new(text).is_dir() => Self::Sources(text.into()),
            _ => Self::Version(text.into()),
        })
    }
}

/// The choice of an nginx.
#[derive(Args, Clone, Debug, Default)]
pub struct Nginx {
    #[arg(long, default_value = "debian", hide_default_value = true, help = NGINX_HELP)]
    pub nginx: NginxChoice,
}

/// How the module is built.
#[derive(Args, Clone, Debug, Default)]
pub struct Build {
    /// Build without debug assertions and as fast as can be
    #[arg(long)]
    pub release: bool,
    /// Build LuaJIT into the module, from the crate luajit-src, instead of linking the system's
    #[arg(long)]
    pub own_luajit: bool,
    #[command(flatten)]
    pub nginx: Nginx,
}

impl Build {
    /// The features of cargo that the module is built with.
    pub fn features(&self) -> &'static str {
        if self.own_luajit { "vendored" } else { "" }
    }
}

/// What is tried.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    #[command(flatten)]
    pub build: Build,
    /// Take Debian's build of the C module in place of this one
    #[arg(long, conflicts_with_all = ["release", "nginx", "own_luajit"])]
    pub reference: bool,
}

impl From<Build> for Options {
    fn from(build: Build) -> Self {
        Self { build, reference: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nginx_is_named_in_many_ways() {
        let choice = |text: &str| text.parse::<NginxChoice>().unwrap();
        assert_eq!(choice("debian"), NginxChoice::Installed);
        assert_eq!(choice("vendored"), NginxChoice::Vendored);
        assert_eq!(choice("../nginx"), NginxChoice::Sources("../nginx".into()));
        assert_eq!(choice("src"), NginxChoice::Sources("src".into()));
        assert_eq!(choice("1.26.3"), NginxChoice::Version("1.26.3".into()));
    }
}

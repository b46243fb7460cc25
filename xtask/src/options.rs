//! The options that several commands share.

use clap::{Args, ValueEnum};

/// Which nginx the module is built for and run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NginxChoice {
    /// Debian's packages `nginx` and `nginx-dev`, or the tree that NGINX_SOURCE_DIR and
    /// NGINX_BUILD_DIR name
    #[default]
    #[value(name = "debian")]
    Installed,
    /// The source that the crate `nginx-src` carries, built under `target/`
    Vendored,
    /// The same source with none of nginx's optional parts: no TLS, no threads
    Minimal,
}

/// How the module is built.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Build {
    /// Build without debug assertions and as fast as can be
    #[arg(long)]
    pub release: bool,
    /// The nginx to build for
    #[arg(long, value_enum, default_value_t)]
    pub nginx: NginxChoice,
}

/// What is tried.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Options {
    #[command(flatten)]
    pub build: Build,
    /// Take Debian's build of the C module in place of this one
    #[arg(long, conflicts_with_all = ["release", "nginx"])]
    pub reference: bool,
}

impl From<Build> for Options {
    fn from(build: Build) -> Self {
        Self { build, reference: false }
    }
}

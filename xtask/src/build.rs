//! `cargo xtask build`: the module, built for one nginx and put where `load_module` finds it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::nginx::Tree;
use crate::options::Options;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// A built module and the nginx to run it on.
pub struct Built {
    /// Absolute path of `ngx_http_lua_module.so`.
    pub module: PathBuf,
    /// Absolute path of the nginx binary it was built for.
    pub nginx: PathBuf,
}

/// Runs `cargo xtask build`.
pub fn command(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments, &[])?.no_files()?;
    setup::ensure(&[Group::Build])?;
    let built = build(&options)?;
    println!("load_module {};", built.module.display());
    Ok(())
}

/// Builds the module as `options` say. The packages of `Group::Build` must be there.
///
/// Errors: cargo failed, or no nginx source tree could be prepared.
pub fn build(options: &Options) -> Result<Built> {
    let tree = Tree::prepare(options.nginx)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root()).args(["build", "--package", "ngx-http-lua-module"]);
    if options.release {
        command.arg("--release");
    }
    command.env("NGINX_SOURCE_DIR", &tree.source_dir).env("NGINX_BUILD_DIR", &tree.build_dir);
    shell::run(&mut command)?;

    let profile = if options.release { "release" } else { "debug" };
    let product = paths::cargo_target().join(profile).join("libngx_http_lua_module.so");
    let module = paths::module();
    fs::create_dir_all(paths::target("module"))?;
    // A running nginx may have the old file mapped: put a new one in its place, never write into it.
    let fresh = module.with_extension("so.new");
    fs::copy(&product, &fresh).with_context(|| format!("cannot copy {}", product.display()))?;
    fs::rename(&fresh, &module)?;
    Ok(Built { module, nginx: tree.binary })
}

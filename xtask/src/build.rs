//! `cargo xtask build`: the module, built for one nginx and put where `load_module` finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::nginx::{DEBIAN_BINARY, Tree};
use crate::options::{Build, NginxChoice, Options};
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::{paths, shell};

/// Where Debian's packages put nginx modules.
const DEBIAN_MODULES: &str = "/usr/lib/nginx/modules";
/// Debian's C module, after the module that it needs.
const REFERENCE: &[&str] = &["ndk_http_module.so", "ngx_http_lua_module.so"];

/// njs, as Debian packages it.
pub fn njs() -> Subject {
    let module = Path::new(DEBIAN_MODULES).join("ngx_http_js_module.so");
    Subject { nginx: DEBIAN_BINARY.into(), modules: vec![module], wrapper: Vec::new() }
}

/// Runs `cargo xtask build`.
pub fn command(options: Build) -> Result<()> {
    setup::ensure(&[Group::Build])?;
    build(options)?;
    println!("load_module {};", paths::module().display());
    Ok(())
}

/// What is to be run: the module, built as `options` say, or Debian's C module where they say
/// `--reference`.
pub fn subject(options: Options) -> Result<Subject> {
    if !options.reference {
        let nginx = build(options.build)?;
        return Ok(Subject { nginx, modules: vec![paths::module()], wrapper: Vec::new() });
    }
    setup::ensure(&[Group::Reference])?;
    let dir = Path::new(DEBIAN_MODULES);
    let modules = REFERENCE.iter().map(|name| dir.join(name)).collect();
    Ok(Subject { nginx: DEBIAN_BINARY.into(), modules, wrapper: Vec::new() })
}

/// Builds the module with cargo's `features` for an nginx of `choice`, in `target/DIR`: a target
/// directory of its own, so that neither build makes the other start over. cargo's words go to
/// a log there.
pub fn apart(choice: NginxChoice, features: &str, dir: &str) -> Result<Subject> {
    let tree = Tree::prepare(choice)?;
    let target = paths::target(dir);
    let mut command = cargo_build(&tree);
    command.args(["--features", features, "--target-dir"]).arg(&target);
    shell::run_logged(&mut command, &target.join("build.log"))?;
    let module = target.join("debug/libngx_http_lua_module.so");
    Ok(Subject { nginx: tree.binary, modules: vec![module], wrapper: Vec::new() })
}

fn cargo_build(tree: &Tree) -> Command {
    let mut command = shell::cargo();
    command.args(["build", "--package", "ngx-http-lua-module"]);
    command.env("NGINX_SOURCE_DIR", &tree.source_dir).env("NGINX_BUILD_DIR", &tree.build_dir);
    command
}

/// Builds the module as `options` say, into `paths::module()`, and returns the nginx binary that
/// it was built for. The packages of `Group::Build` must be there.
///
/// Errors: cargo failed, or no nginx source tree could be prepared.
pub fn build(options: Build) -> Result<PathBuf> {
    let tree = Tree::prepare(options.nginx)?;
    let mut command = cargo_build(&tree);
    if options.release {
        command.arg("--release");
    }
    shell::run(&mut command)?;

    let profile = if options.release { "release" } else { "debug" };
    let product = paths::cargo_target().join(profile).join("libngx_http_lua_module.so");
    let module = paths::module();
    fs::create_dir_all(paths::target("module"))?;
    // A running nginx may have the old file mapped: put a new one in its place, never write into it.
    let fresh = module.with_extension("so.new");
    fs::copy(&product, &fresh).with_context(|| format!("cannot copy {}", product.display()))?;
    fs::rename(&fresh, &module)?;
    Ok(tree.binary)
}

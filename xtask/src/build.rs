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
/// The module as cargo calls it, and as nginx's users do.
pub const LIBRARY: &str = "libngx_http_lua_module.so";
const MODULE: &str = "ngx_http_lua_module.so";
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
    let product = build(&options)?;
    let module = paths::real(&product.module);
    match module == product.module {
        true => println!("load_module {};", module.display()),
        false => println!("load_module \"{}\";", module.display()),
    }
    println!("# for {}", product.tree.binary.display());
    Ok(())
}

/// The module, and the nginx that it was built for.
pub struct Product {
    pub module: PathBuf,
    pub tree: Tree,
}

impl Product {
    /// The nginx with the module.
    pub fn subject(&self) -> Subject {
        let modules = vec![self.module.clone()];
        Subject { nginx: self.tree.binary.clone(), modules, wrapper: Vec::new() }
    }
}

/// What is to be run: the module, built as `options` say, or Debian's C module where they say
/// `--reference`.
pub fn subject(options: &Options) -> Result<Subject> {
    if !options.reference {
        return Ok(build(&options.build)?.subject());
    }
    setup::ensure(&[Group::Reference])?;
    let dir = Path::new(DEBIAN_MODULES);
    let modules = REFERENCE.iter().map(|name| dir.join(name)).collect();
    Ok(Subject { nginx: DEBIAN_BINARY.into(), modules, wrapper: Vec::new() })
}

/// Builds the module with cargo's `features` for an nginx of `choice`, into `target/DIR`. All such
/// builds share a directory of cargo's own, so that none makes the usual build start over. cargo's
/// words go to a log in `target/DIR`.
pub fn apart(choice: &NginxChoice, features: &str, dir: &str) -> Result<Product> {
    let tree = Tree::prepare(choice)?;
    let cargo_target = paths::target("apart");
    let mut command = cargo_build(&tree);
    command.args(["--features", features, "--target-dir"]).arg(&cargo_target);
    let (dir, log) = (paths::target(dir), paths::target(dir).join("build.log"));
    println!("building the module with {features}; see {}", log.display());
    shell::run_logged(&mut command, &log)?;
    let module = dir.join(MODULE);
    put(&cargo_target.join("debug").join(LIBRARY), &module)?;
    Ok(Product { module, tree })
}

/// cargo, about to build the module for the nginx of `tree`.
pub fn cargo_build(tree: &Tree) -> Command {
    let mut command = shell::cargo();
    command.args(["build", "--package", "ngx-http-lua-module"]).envs(tree.environment());
    if tree.is_angies() {
        command.args(["--no-default-features", "--features", "export-modules"]);
    }
    command
}

/// Builds the module as `options` say, into `target/module/`. The packages of `Group::Build` must be
/// there.
///
/// Errors: cargo failed, or no nginx source tree could be prepared.
pub fn build(options: &Build) -> Result<Product> {
    build_into("module", options)
}

/// As [`build`], into `target/DIR/`: where a file is used for long, no other command may replace it.
pub fn build_into(dir: &str, options: &Build) -> Result<Product> {
    let tree = Tree::prepare(&options.nginx.nginx)?;
    let mut command = cargo_build(&tree);
    if options.release {
        command.arg("--release");
    }
    let cargo_target = match options.own_luajit {
        // As in `apart`.
        true => paths::target("apart"),
        false => paths::cargo_target(),
    };
    command.args(["--features", options.features(), "--target-dir"]).arg(&cargo_target);
    shell::run(&mut command)?;

    let profile = if options.release { "release" } else { "debug" };
    let module = paths::target(dir).join(MODULE);
    put(&cargo_target.join(profile).join(LIBRARY), &module)?;
    Ok(Product { module, tree })
}

/// Copies what cargo has built to the place of the `module`.
pub fn put(library: &Path, module: &Path) -> Result<()> {
    fs::create_dir_all(module.parent().unwrap_or(Path::new("/")))?;
    // A running nginx may have the old file mapped: put a new one in its place, never write into it.
    let fresh = module.with_extension("so.new");
    fs::copy(library, &fresh).with_context(|| format!("cannot copy {}", library.display()))?;
    fs::rename(&fresh, module)?;
    Ok(())
}

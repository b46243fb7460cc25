//! What builds for arm64 here: GCC for arm64, nginx's sources configured with it, and a rustc that has a
//! standard library for arm64.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, dir, emulator, shown};
use crate::nginx::Tree;
use crate::{build, shell};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The suites with a rustc that is new enough for the module.
const RUST_SUITES: [&str; 2] = ["trixie", "trixie-backports"];

pub struct Toolchain {
    root: PathBuf,
    /// GCC for arm64, with `root`.
    cc: PathBuf,
    /// Instead of cargo's own.
    rustc: Option<PathBuf>,
    tree: Tree,
}

impl Toolchain {
    /// Finds or makes what is needed to build for what is unpacked in `root`.
    pub fn prepare(root: &Path) -> Result<Toolchain> {
        let cc = program("cc", &format!("aarch64-linux-gnu-gcc --sysroot={}", root.display()))?;
        // The build of LuaJIT takes these from where the compiler is.
        for name in ["ar", "strip"] {
            program(name, &format!("aarch64-linux-gnu-{name}"))?;
        }
        let rustc = if has_target()? { None } else { Some(debians_rustc()?) };
        let tree = Tree::cross("nginx-arm64", &cc, |command| {
            emulator::within(root, command);
        })?;
        Ok(Toolchain { root: root.to_path_buf(), cc, rustc, tree })
    }

    /// Builds the module with cargo's `features` and leaves it as `name`.
    pub fn build(&self, features: &str, name: &str) -> Result<PathBuf> {
        println!("building {name} for arm64");
        let cargo_target = dir("cargo");
        let mut command = build::cargo_build(&self.tree);
        command.args(["--target", TARGET, "--features", features, "--target-dir"]);
        command.arg(&cargo_target);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        let libraries = self.root.join("usr/lib/aarch64-linux-gnu/pkgconfig");
        command
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", &self.cc)
            .env("CC_aarch64_unknown_linux_gnu", &self.cc)
            .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar")
            .env("PKG_CONFIG_ALLOW_CROSS", "1")
            .env("PKG_CONFIG_LIBDIR", libraries)
            .env("PKG_CONFIG_SYSROOT_DIR", &self.root)
            .env(
                "BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu",
                format!("--sysroot={}", shown(&self.root)),
            );
        shell::run_logged(&mut command, &dir("build.log"))?;
        let module = dir(name);
        build::put(&cargo_target.join(TARGET).join("debug").join(build::LIBRARY), &module)?;
        Ok(module)
    }
}

/// Whether cargo's own rustc has a standard library for arm64.
fn has_target() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = shell::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir())
}

/// Debian's rustc, which runs with the C library of its own suite.
fn debians_rustc() -> Result<PathBuf> {
    let root = dir("rust");
    let packages = ["rustc", "libstd-rust-dev:arm64"];
    debian::unpack(&root, &RUST_SUITES.map(String::from), &["amd64", "arm64"], &packages)?;
    let usr = shown(&root.join("usr"));
    program(
        "rustc",
        &format!(
            "{usr}/lib64/ld-linux-x86-64.so.2 --library-path {usr}/lib/x86_64-linux-gnu:{usr}/lib \
             {usr}/bin/rustc --sysroot {usr}"
        ),
    )
}

/// A program `name` that runs this command with its own arguments.
fn program(name: &str, command: &str) -> Result<PathBuf> {
    let path = dir("bin").join(name);
    fs::create_dir_all(dir("bin"))?;
    let script = format!("#!/bin/sh\nexec {command} \"$@\"\n");
    fs::write(&path, script).with_context(|| format!("{}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

//! `cargo xtask arm64`: the module built for arm64, and tested under an emulator.
//!
//! What belongs to arm64 is below `target/arm64/`, not in the system: `root/` has Debian's packages, where
//! compiler and emulator look for libraries, and `rust/` a rustc with a standard library for arm64. nginx
//! alone is emulated; the tests and what they talk to are this machine's.

mod debian;
mod emulator;
mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use self::toolchain::Toolchain;
use crate::prove::{self, Settings};
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{paths, test};

/// What nginx and the module need there, to run and to be compiled against.
const PACKAGES: &[&str] = &[
    "libc6-dev",
    "libgcc-12-dev",
    "libluajit2-5.1-dev",
    "libpcre2-dev",
    "libssl-dev",
    "nginx",
    "zlib1g-dev",
];

/// What depends on the processor: panics and errors that unwind the stack, coroutines, numbers, what the
/// JIT compilers make.
const FILES: &[&str] = &[
    test::FAULTS,
    "t/002-content.t",
    "t/012-now.t",
    "t/013-base64.t",
    "t/034-match.t",
    "t/042-crc32.t",
    "t/043-shdict.t",
    "t/058-tcp-socket.t",
    "t/091-coroutine.t",
    "t/093-uthread-spawn.t",
    "t/127-uthread-kill.t",
    "t/204-luajit.t",
];

/// An emulated nginx takes a while.
const PATIENCE: &str = "30";

/// Runs `cargo xtask arm64`: the `.t` files that are named, or those that matter most.
pub fn command(own_luajit: bool, files: &[String]) -> Result<()> {
    let tally = run(own_luajit, files)?;
    tally.show();
    if tally.failed > 0 {
        bail!("tests have failed; their output is in {}", dir("test").display());
    }
    Ok(())
}

/// Sets up, builds, with LuaJIT in the module or without, and tests, and sums the checks.
///
/// Errors: something could not be installed, built or run.
pub fn run(own_luajit: bool, named: &[String]) -> Result<Tally> {
    if cfg!(not(target_arch = "x86_64")) {
        bail!("this is for an x86-64 machine; on arm64, `cargo xtask test` needs no emulator");
    }
    setup::ensure(&[Group::Build, Group::Run, Group::Test, Group::Services, Group::Arm64])?;
    let root = dir("root");
    debian::unpack(&root, &[debian::own_suite()?], &["arm64"], PACKAGES)?;
    emulator::register()?;
    let toolchain = Toolchain::prepare(&root)?;
    let features = if own_luajit { "vendored" } else { "" };
    let module = toolchain.build(features, "ngx_http_lua_module.so")?;
    let subject =
        Subject { nginx: root.join("usr/sbin/nginx"), modules: vec![module], wrapper: Vec::new() };
    let files: Vec<PathBuf> = match named {
        [] => FILES.iter().map(|file| paths::root().join(file)).collect(),
        _ => named.iter().map(|file| paths::root().join(file)).collect(),
    };
    let mut environment =
        vec![emulator::root(&root), ("TEST_NGINX_TIMEOUT".into(), PATIENCE.into())];
    if files.iter().any(|file| file.ends_with(test::FAULTS)) {
        let module = toolchain.build(&format!("{features},fault-injection"), "faults.so")?;
        environment.push(("TEST_NGINX_FAULT_MODULE".into(), module.display().to_string()));
    }
    println!("{} on {}", subject.modules_shown(), subject.nginx.display());
    let settings = Settings { dir: paths::root(), logs: dir("test"), environment };
    Ok(prove::run(&files, &subject, &settings)?.tally)
}

/// A path below the place of all this.
fn dir(below: &str) -> PathBuf {
    paths::target("arm64").join(below)
}

/// What a path is called in an environment variable.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

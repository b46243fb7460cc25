//! QEMU, by which the kernel runs programs for arm64 as if they were its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Where the kernel is told of emulators.
const REGISTER: &str = "/proc/sys/fs/binfmt_misc";
const NAME: &str = "qemu-aarch64";

/// Has the kernel know the emulator.
///
/// Errors: it does not, and only the super-user of the machine itself can change that.
pub fn register() -> Result<()> {
    let at = Path::new(REGISTER);
    if !at.join("register").exists() {
        let mount = ["-t", "binfmt_misc", "binfmt_misc", REGISTER];
        shell::run(shell::as_root("mount").args(mount))?;
    }
    if !at.join(NAME).exists() {
        shell::run(shell::as_root("update-binfmts").args(["--enable", NAME]))?;
    }
    if !at.join(NAME).exists() {
        bail!("the kernel does not run programs for arm64: {REGISTER}/{NAME} is missing");
    }
    Ok(())
}

/// The variable that says where an emulated program has its libraries.
pub fn root(root: &Path) -> (String, String) {
    ("QEMU_LD_PREFIX".into(), super::shown(root))
}

/// `command`, with programs for arm64 that it starts.
pub fn within<'a>(root: &Path, command: &'a mut Command) -> &'a mut Command {
    command.env("QEMU_LD_PREFIX", root)
}

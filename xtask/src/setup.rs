//! `cargo xtask setup`: the Debian packages that the commands stand on.
//!
//! A command asks for its groups with `ensure`, which looks first and installs only what is
//! missing; where it may not install, its error is the command line that would.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use crate::nginx::Tree;
use crate::options::NginxChoice;
use crate::shell;

/// A set of packages with one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What the module is compiled with and against.
    Build,
    /// What it needs to run: nginx and the Lua libraries it loads at start.
    Run,
    /// What the project's own tests need on top.
    Test,
    /// The servers that nginx-tests/ starts, Lua libraries that are to work, a source of load, and what
    /// fetches parsers in Python.
    Services,
    /// The C module, to compare with.
    Reference,
    /// What lua-nginx-module's suite needs on top: its side modules, back ends and isolation.
    Conformance,
    /// What draws a flame graph. It is large, and one test wants it: CI installs it, other runs use one
    /// that is there.
    Browser,
    /// The memory checker, which counts instructions too.
    Valgrind,
    /// Debian's tools for packages.
    Package,
    /// What makes a root directory to install a package in.
    Trial,
    /// The compiler of what the fuzz targets link.
    Fuzz,
    /// What fetches cargo-deny.
    Deny,
    /// The emulator and the compiler for arm64.
    Arm64,
    /// What the bench compares with beside that, and what it sends requests with.
    Bench,
}

/// What the tests of whole processes start. mariadb-client-core: a program that mariadb-install-db runs.
const SERVERS: &[&str] = &[
    "lua-busted",
    "lua-nginx-cookie",
    "lua-nginx-dns",
    "lua-nginx-memcached",
    "lua-nginx-redis",
    "lua-nginx-websocket",
    "mariadb-client-core",
    "mariadb-server-core",
    "memcached",
    "postgresql",
    "python3-pip",
    "redis-server",
    "wrk",
];

impl Group {
    /// Their names in Debian 12.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            // nginx-dev: sources and configuration flags; libclang-dev: bindgen;
            // the three libraries: nginx's own headers include theirs.
            Self::Build => &[
                "gcc",
                "libc6-dev",
                "make",
                "pkg-config",
                "nginx",
                "nginx-dev",
                "libclang-dev",
                "libluajit2-5.1-dev",
                "libpcre2-dev",
                "libssl-dev",
                "zlib1g-dev",
            ],
            Self::Run => &["nginx", "lua-resty-core", "lua-resty-lrucache"],
            Self::Test => {
                &["curl", "openssl", "perl", "libtest-base-perl", "libtest-longstring-perl"]
            }
            Self::Services => SERVERS,
            Self::Reference => &["libnginx-mod-http-lua", "libnginx-mod-http-ndk"],
            Self::Conformance => &[
                "dpkg-dev",
                "iproute2",
                "iptables",
                "libnginx-mod-http-echo",
                "libnginx-mod-http-headers-more-filter",
                "libnginx-mod-http-lua",
                "libnginx-mod-http-memc",
                "libnginx-mod-http-ndk",
                "libnginx-mod-http-set-misc",
                "libnginx-mod-http-srcache-filter",
                "libnginx-mod-stream",
                "lua-cjson",
                "lua-nginx-string",
                "memcached",
                "redis-server",
                "util-linux",
            ],
            Self::Browser => &["chromium"],
            Self::Valgrind => &["valgrind"],
            Self::Package => &["binutils", "debhelper", "dpkg-dev"],
            Self::Trial => &["debootstrap", "util-linux"],
            Self::Fuzz => &["g++"],
            Self::Arm64 => &["binfmt-support", "gcc-aarch64-linux-gnu", "qemu-user-static"],
            Self::Deny => &["python3-pip"],
            Self::Bench => &["libnginx-mod-http-js", "util-linux", "wrk"],
        }
    }
}

/// Runs `cargo xtask setup`.
pub fn command(nginx: &NginxChoice) -> Result<()> {
    ensure(&[Group::Build, Group::Run, Group::Test, Group::Services])?;
    let tree = Tree::prepare(nginx)?;
    println!("nginx source tree: {}", tree.source_dir.display());
    println!("nginx build tree:  {}", tree.build_dir.display());
    if *nginx != NginxChoice::Installed {
        println!("nginx binary:      {}", tree.binary.display());
    }
    Ok(())
}

/// Installs those packages of `groups` that are missing.
///
/// Errors: a package could not be installed, or only the super-user could and there is no sudo;
/// the error then holds the command to type.
pub fn ensure(groups: &[Group]) -> Result<()> {
    let wanted = packages(groups);
    if !shell::exists("dpkg-query") {
        eprintln!("not a Debian system: install the like of {}", wanted.join(" "));
        return Ok(());
    }
    let missing = missing(&wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing Debian packages: {}", missing.join(" "));
    install(&missing)
}

fn packages(groups: &[Group]) -> Vec<&'static str> {
    let mut seen = HashSet::new();
    let debian = debian(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let all = groups.iter().flat_map(|group| group.packages()).copied();
    all.map(|package| name_in(debian, package)).filter(|package| seen.insert(*package)).collect()
}

/// The number of the Debian release, of a file like `/etc/os-release`.
fn debian(os_release: &str) -> Option<u32> {
    let version = os_release.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    version.trim_matches('"').parse().ok()
}

/// What a package of Debian 12 is called in another release.
fn name_in(debian: Option<u32>, package: &'static str) -> &'static str {
    match (package, debian) {
        // OpenResty's, under the name that the original LuaJIT had before.
        ("libluajit2-5.1-dev", Some(13..)) => "libluajit-5.1-dev",
        _ => package,
    }
}

fn missing(wanted: &[&'static str]) -> Result<Vec<&'static str>> {
    // dpkg-query fails as a whole where it does not know one of the names: its output still
    // lists the others.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output()?;
    Ok(not_installed(wanted, &String::from_utf8_lossy(&output.stdout)))
}

fn not_installed(wanted: &[&'static str], listing: &str) -> Vec<&'static str> {
    let installed: HashSet<&str> =
        listing.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    wanted.iter().copied().filter(|package| !installed.contains(package)).collect()
}

fn install(missing: &[&str]) -> Result<()> {
    let sudo = !shell::is_root();
    if sudo && !shell::exists("sudo") {
        bail!("only the super-user can install them; as root, run\n  {}", by_hand(missing));
    }
    let apt = |words: &[&str]| {
        let mut command = match sudo {
            true => Command::new("sudo"),
            false => Command::new("env"),
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]).args(words);
        shell::run(&mut command)
    };
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(missing);
    // The package lists may be absent or old: one more try with fresh ones.
    if apt(&install).is_err()
        && let Err(error) = apt(&["update"]).and_then(|()| apt(&install))
    {
        bail!("{error:#}\n{}", advice(missing, sudo));
    }
    Ok(())
}

fn by_hand(missing: &[&str]) -> String {
    format!("apt-get update && apt-get install --no-install-recommends {}", missing.join(" "))
}

/// What helps when apt-get has failed, of which it has told the reason; `sudo`: the caller is not the
/// super-user.
fn advice(missing: &[&str], sudo: bool) -> String {
    let who = if sudo { "as root, run" } else { "run" };
    format!(
        "apt-get says above what it lacks, for example the network or a package source. Once it has \
         that, try again, or {who}\n  {}",
        by_hand(missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_or_unknown_package_is_missing() {
        let listing = "gcc installed\nmake config-files\n";
        assert_eq!(not_installed(&["gcc", "make", "nginx"], listing), ["make", "nginx"]);
    }

    #[test]
    fn openresty_s_luajit_has_another_name_from_debian_13_on() {
        let release = "ID=debian\nVERSION_ID=\"13\"\n";
        assert_eq!(name_in(debian(release), "libluajit2-5.1-dev"), "libluajit-5.1-dev");
        assert_eq!(
            name_in(debian("VERSION_ID=\"12\"\n"), "libluajit2-5.1-dev"),
            "libluajit2-5.1-dev"
        );
        assert_eq!(name_in(debian(""), "gcc"), "gcc");
    }

    #[test]
    fn the_super_user_is_not_told_to_become_one() {
        assert!(advice(&["gcc"], true).contains("as root, run\n  apt-get update && "));
        let to_root = advice(&["gcc"], false);
        assert!(to_root.contains("or run\n  apt-get") && !to_root.contains("as root"), "{to_root}");
        assert!(to_root.ends_with(" gcc"));
    }

    #[test]
    fn a_package_in_two_groups_is_asked_for_once() {
        let all = packages(&[Group::Build, Group::Run]);
        assert_eq!(all.iter().filter(|package| **package == "nginx").count(), 1);
        assert!(all.contains(&"nginx-dev") && all.contains(&"lua-resty-core"));
    }
}

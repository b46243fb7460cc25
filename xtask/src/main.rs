//! `cargo xtask …`: everything that a developer of the module runs, as one program.
//!
//! One variant per command in `Command`; a command prepares whatever it needs, so that each works on
//! a fresh machine. Long output goes to files under `target/`, the screen gets the outcome.

// Here a panic, or a lack of memory, ends a command, not a request.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod abi;
mod apt;
#[cfg(test)]
mod architecture;
mod arm64;
mod bench;
mod build;
mod ci;
mod client;
mod conformance;
mod deny;
mod disk;
mod docs;
mod functions;
mod fuzz;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod layers;
mod layouts;
mod matrix;
mod memcheck;
mod newer;
mod nginx;
mod options;
mod package;
mod paths;
mod plain_root;
mod prove;
mod run;
mod rust_source;
mod server;
mod setup;
mod shell;
mod soak;
#[cfg(test)]
mod statics;
mod tally;
mod test;
mod valgrind;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use options::{Build, Nginx, Options};

/// The project's commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = AFTER_HELP)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str =
    "NGINX_SOURCE_DIR and NGINX_BUILD_DIR name another configured nginx source tree to build for.";

#[derive(Subcommand)]
enum Command {
    /// Install the Debian packages that are missing and configure nginx's source tree
    Setup {
        #[command(flatten)]
        nginx: Nginx,
    },
    /// Build the module into target/module/ngx_http_lua_module.so
    Build(Build),
    /// Build the module, run examples/async on a real nginx and show what it does
    Run {
        #[command(flatten)]
        build: Build,
        /// The port of 127.0.0.1 that nginx listens on
        #[arg(long, default_value_t = run::PORT)]
        port: u16,
        /// Stop nginx after the demonstration
        #[arg(long)]
        once: bool,
    },
    /// Build the module and run the unit tests, t/ and nginx-tests/; logs in target/test/
    Test {
        #[command(flatten)]
        options: Options,
        /// The .t files to run; without any, all of them and the unit tests
        files: Vec<String>,
    },
    /// Run lua-nginx-module's suite and compare it, block by block, with the C module
    Conformance(conformance::Arguments),
    /// Run test files, or a few pages over and over, with nginx under memcheck
    Valgrind {
        #[command(flatten)]
        options: Options,
        /// Files of t/, nginx-tests/ or lua-nginx-module's suite
        files: Vec<String>,
    },
    /// Make an archive of the module in target/package/, and for Debian's nginx a Debian package
    Package {
        #[command(flatten)]
        nginx: Nginx,
        /// Make them in another directory too, which must give the same files, and install the Debian
        /// package over a running C module, in a root directory of its own
        #[arg(long, conflicts_with = "nginx")]
        check: bool,
    },
    /// Send mixed requests through one worker of a release build, whose memory must not grow
    Soak(soak::Arguments),
    /// Measure this module and the C module, side by side, and write benches/RESULTS.md
    Bench(bench::Arguments),
    /// Build the module and compare its C symbols and structures with t/abi/
    Abi {
        #[command(flatten)]
        nginx: Nginx,
    },
    /// Build the module for each nginx at hand and for another LuaJIT, and run the tests with each
    Matrix {
        /// The rows to run, instead of all: an unknown name is answered with those there are
        names: Vec<String>,
    },
    /// Build the module for arm64 and test it on Debian's nginx for arm64, under an emulator
    Arm64 {
        /// Build LuaJIT into the module, from the crate luajit-src, instead of linking Debian's
        #[arg(long)]
        own_luajit: bool,
        /// The .t files to run, instead of those that depend on the processor most
        files: Vec<String>,
    },
    /// Run the fuzz targets for a few seconds each
    Fuzz {
        /// The targets to run, instead of all
        names: Vec<String>,
    },
    /// Check the licences and sources of all dependencies with cargo-deny
    Deny,
    /// Write the reference in docs/ from docs/source/ and the module's tables
    Docs(docs::Arguments),
    /// Run everything that a change must pass: all of the above but the longest, and the lints
    Ci(ci::Arguments),
    /// One file of lua-nginx-module's suite, in the namespaces that `conformance` has made
    #[command(hide = true)]
    Sandboxed { file: String },
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Setup { nginx } => setup::command(&nginx.nginx),
        Command::Build(build) => build::command(build),
        Command::Run { build, port, once } => run::command(build, port, once),
        Command::Test { options, files } => test::command(&options, &files),
        Command::Conformance(arguments) => conformance::command(&arguments),
        Command::Valgrind { options, files } => valgrind::command(options, &files),
        Command::Package { nginx, check } => package::command(&nginx.nginx, check),
        Command::Soak(arguments) => soak::command(&arguments),
        Command::Bench(arguments) => bench::command(&arguments),
        Command::Abi { nginx } => abi::check(nginx),
        Command::Matrix { names } => matrix::command(&names),
        Command::Arm64 { own_luajit, files } => arm64::command(own_luajit, &files),
        Command::Fuzz { names } => fuzz::run(&names),
        Command::Deny => deny::run(),
        Command::Docs(arguments) => docs::command(&arguments),
        Command::Ci(arguments) => ci::command(arguments),
        Command::Sandboxed { file } => conformance::sandboxed(&file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            if let Some(hint) = disk::hint() {
                eprintln!("{hint}");
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Xtask::command().debug_assert();
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for words in [
            "test --reference --nginx vendored",
            "conformance --ratchet 001-set.t",
            "bench --calls --cpu md5",
            "bench md5",
            "soak --requests 3",
            "abi --release",
            "matrix --release",
        ] {
            let words = ["xtask"].into_iter().chain(words.split(' '));
            assert!(Xtask::try_parse_from(words.clone()).is_err(), "{}", words.collect::<String>());
        }
    }
}

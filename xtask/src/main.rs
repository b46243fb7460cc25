//! `cargo xtask …`: everything that a developer of the module runs, as one program.
//!
//! One row per command in `COMMANDS`; a command prepares whatever it needs, so that each works on
//! a fresh machine. Long output goes to files under `target/`, the screen gets the outcome.

mod abi;
mod bench;
mod build;
mod ci;
mod client;
mod conformance;
mod deny;
mod fuzz;
#[cfg(test)]
mod layers;
mod memcheck;
mod nginx;
mod options;
mod paths;
mod prove;
mod run;
mod server;
mod setup;
mod shell;
mod soak;
mod tally;
mod test;
mod valgrind;
mod variants;

use std::process::ExitCode;

struct Command {
    name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        arguments: "",
        summary: "install the Debian packages that are missing and configure nginx's source tree",
        run: setup::command,
    },
    Command {
        name: "build",
        arguments: "[--release] [--nginx debian|vendored|minimal]",
        summary: "build the module into target/module/ngx_http_lua_module.so",
        run: build::command,
    },
    Command {
        name: "run",
        arguments: "[--once] [--release] [--nginx debian|vendored|minimal]",
        summary: "build the module, run examples/async on a real nginx and show what it does",
        run: run::command,
    },
    Command {
        name: "test",
        arguments: "[--reference] [--release] [--nginx debian|vendored|minimal] [FILES…]",
        summary: "build the module and run the unit tests, t/ and nginx-tests/; logs in target/test/",
        run: test::command,
    },
    Command {
        name: "conformance",
        arguments: "[--reference] [--ratchet] [FILES…]",
        summary: "run upstream's suite and compare it, block by block, with upstream's C module",
        run: conformance::command,
    },
    Command {
        name: "valgrind",
        arguments: "[--reference] [FILES…]",
        summary: "run test files, or a few pages over and over, with nginx under memcheck",
        run: valgrind::command,
    },
    Command {
        name: "soak",
        arguments: "[--requests N] [--reference]",
        summary: "send 200,000 mixed requests through one worker of a release build: it must hold no more \
                  at the end",
        run: soak::command,
    },
    Command {
        name: "bench",
        arguments: "[--requests | --calls | --cpu | --growth] [ROWS…]",
        summary: "measure this module and upstream's, side by side, and write benches/RESULTS.md",
        run: bench::command,
    },
    Command {
        name: "abi",
        arguments: "[--nginx debian|vendored|minimal]",
        summary: "build the module and compare its C symbols and structures with t/abi/",
        run: abi::command,
    },
    Command {
        name: "variants",
        arguments: "[VARIANTS…]",
        summary: "build the module for other nginxes and another LuaJIT, and try each with a few tests",
        run: variants::command,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGETS…]",
        summary: "run the fuzz targets for a moment each",
        run: fuzz::command,
    },
    Command {
        name: "deny",
        arguments: "",
        summary: "check the licences and sources of all dependencies with cargo-deny",
        run: deny::command,
    },
    Command {
        name: "ci",
        arguments: "[--release] [--nginx debian|vendored|minimal]",
        summary: "everything that a change must pass: all of the above but the longest, and the lints",
        run: ci::command,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", help());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: unknown command \"{name}\"\n\n{}", help());
        return ExitCode::from(2);
    };
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [ARGUMENTS]\n\n");
    for command in COMMANDS {
        text.push_str(&format!(
            "  {} {}\n      {}\n",
            command.name, command.arguments, command.summary
        ));
    }
    text.push_str(
        "\n--reference takes Debian's build of upstream's C module in place of this one.\n\
         NGINX_SOURCE_DIR and NGINX_BUILD_DIR name another configured nginx source tree to build for.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_the_help() {
        let help = help();
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(help.contains(&format!("\n  {} ", command.name)), "{}", command.name);
            assert!(COMMANDS[..index].iter().all(|other| other.name != command.name));
        }
    }
}

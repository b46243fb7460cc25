//! `cargo xtask conformance`: lua-nginx-module's own suite, run against this module and compared, block by
//! block, with what the C module did on the same machine image.
//!
//! `--suite` does the same with the suite and lua-resty-core of Debian 13, or with today's, where the
//! developer has checkouts of them. With `--reference` the C module itself runs: that measures the harness, not the module.
//! With `--ratchet` exactly the files of the release's ratchet in `t/conformance/` run, and only the
//! blocks that are excused there may fail.

mod modules;
mod ratchet;
mod report;
mod sandbox;
mod suite;
mod suite_release;
mod tap;
mod verdicts;

pub use sandbox::inside as sandboxed;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::nginx::DEBIAN_BINARY;
use crate::options::Build;
use crate::server::Subject;
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{build, paths};
use ratchet::Ratchet;
use report::Report;
use sandbox::Job;
use suite::Suite;
use suite_release::SuiteRelease;
use verdicts::Verdicts;

/// How many test files run side by side, each in a sandbox of its own.
const SIDE_BY_SIDE: usize = 2;
/// How long a file may take: the longest one needs about a minute and a half.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// The arguments of `cargo xtask conformance`.
#[derive(Args, Default)]
pub struct Arguments {
    /// Build without debug assertions and as fast as can be
    #[arg(long)]
    release: bool,
    /// Take Debian's build of the C module in place of this one
    #[arg(long, conflicts_with = "release")]
    reference: bool,
    /// The release whose suite runs, with its lua-resty-core
    #[arg(long, alias = "upstream", value_enum, default_value_t)]
    suite: SuiteRelease,
    /// Run the files of the release's ratchet in t/conformance/: only what it excuses may fail
    #[arg(long, conflicts_with = "files")]
    ratchet: bool,
    /// Files of lua-nginx-module's suite, instead of all
    files: Vec<String>,
}

impl Arguments {
    /// `--ratchet`, with Debian 12's suite.
    pub fn ratchet() -> Self {
        Self { ratchet: true, ..Self::default() }
    }

    /// The same with Debian 13's.
    pub fn ratchet_of_debian_13() -> Self {
        Self { suite: SuiteRelease::Debian13, ..Self::ratchet() }
    }
}

/// Runs `cargo xtask conformance`.
pub fn command(arguments: &Arguments) -> Result<()> {
    let (reference, release) = (arguments.reference, arguments.suite);
    if reference && release != SuiteRelease::default() {
        bail!("--reference is Debian's C module: it has no part in the suite of another release");
    }
    setup::ensure(&[Group::Run, Group::Test, Group::Conformance])?;

    let verdicts = Verdicts::read(&release.verdicts())?;
    let ratchet = match arguments.ratchet {
        true => Some(Ratchet::read(&release.ratchet())?),
        false => None,
    };
    let suite = release.suite()?;
    let wanted = match &ratchet {
        Some(ratchet) => ratchet.files(),
        None => arguments.files.clone(),
    };
    let files = suite.select(&wanted)?;
    let bed = TestBed::prepare(arguments, suite)?;

    let mut results = bed.run_all(&files)?;
    let compare = |results| Report::new(&verdicts, results, ratchet.as_ref(), reference);
    let mut report = compare(results.clone());
    if ratchet.is_some() {
        let failing = report.failing_files();
        bed.run_again(&mut results, &failing)?;
        report = compare(results);
    }
    let text = report.text();
    let path = bed.purpose.results.join("report.txt");
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    print!("{text}");
    println!("TAP and messages of each file: {}", bed.purpose.results.display());
    report.outcome()
}

/// How files of lua-nginx-module's suite are run for another purpose than a comparison.
pub struct Purpose {
    /// The directory of their output.
    pub results: PathBuf,
    /// Variables that win over the usual ones.
    pub environment: Vec<(String, String)>,
    /// How long a file may take.
    pub time_limit: Duration,
}

/// Runs the files that `names` mean on `subject`'s nginx, with the side modules around its own,
/// which is the last of its list; sums their checks.
pub fn run_for(purpose: Purpose, subject: &Subject, names: &[String]) -> Result<Tally> {
    setup::ensure(&[Group::Conformance])?;
    let suite = Suite::fetch()?;
    let files = suite.select(names)?;
    let lua = subject.modules.last().context("no module to test")?.clone();
    let modules = modules::side_modules(lua)?;
    std::fs::create_dir_all(&purpose.results)?;
    let bed = TestBed { suite, modules, nginx: subject.nginx.clone(), purpose };
    let mut tally = Tally::default();
    for (file, outcome) in bed.run_all(&files)? {
        let mut of_file = Tally::default();
        for counts in outcome.blocks.values() {
            of_file += Tally { passed: counts.ok, failed: counts.not_ok, ..Tally::default() };
        }
        println!("{file}: {of_file}{}", if outcome.timed_out { ", out of time" } else { "" });
        tally += of_file;
    }
    Ok(tally)
}

/// What every test file of a run shares.
struct TestBed {
    suite: Suite,
    modules: Vec<PathBuf>,
    nginx: PathBuf,
    purpose: Purpose,
}

impl TestBed {
    fn prepare(arguments: &Arguments, suite: Suite) -> Result<Self> {
        let reference = arguments.reference;
        let (lua, nginx, results) = if reference {
            let lua = modules::debian_module("ngx_http_lua_module.so")?;
            (lua, PathBuf::from(DEBIAN_BINARY), "results/reference")
        } else {
            setup::ensure(&[Group::Build])?;
            let build = Build { release: arguments.release, ..Build::default() };
            let product = build::build(&build)?;
            (product.module, product.tree.binary, arguments.suite.results())
        };
        let results = paths::target("conformance").join(results);
        std::fs::create_dir_all(&results)?;
        // Test::Nginx ends a file at the first block for which nginx does not start, and so
        // did the reference; of this module one wants to know about the other blocks too.
        let mut environment = arguments.suite.environment()?;
        if !reference {
            environment.push(("TEST_NGINX_GO_ON".to_string(), "1".to_string()));
        }
        let purpose = Purpose { results, environment, time_limit: TIME_LIMIT };
        Ok(Self { suite, modules: modules::side_modules(lua)?, nginx, purpose })
    }

    /// Runs `files`, `SIDE_BY_SIDE` at a time, and returns what each of them said, in their order.
    fn run_all(&self, files: &[String]) -> Result<Vec<(String, tap::Outcome)>> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for slot in 1..=SIDE_BY_SIDE {
                let (next, done) = (&next, &done);
                scope.spawn(move || {
                    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = self.run(file, slot);
                        let so_far = {
                            let mut done = done.lock().unwrap_or_else(|error| error.into_inner());
                            done.push((file.clone(), outcome));
                            done.len()
                        };
                        eprintln!("[{so_far}/{}] {file}", files.len());
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(|error| error.into_inner());
        done.sort_by(|left, right| left.0.cmp(&right.0));
        done.into_iter()
            .map(|(file, outcome)| {
                let outcome = outcome.with_context(|| format!("running {file}"))?;
                Ok((file, outcome))
            })
            .collect()
    }

    /// Runs `files` once more, alone on the machine, in place of their first results: blocks of
    /// lua-nginx-module's suite that wait for fractions of a second fail at times beside another file.
    fn run_again(&self, results: &mut [(String, tap::Outcome)], files: &[String]) -> Result<()> {
        for (file, outcome) in results.iter_mut().filter(|(file, _)| files.contains(file)) {
            println!("once more, alone: {file}");
            *outcome = self.run(file, 1).with_context(|| format!("running {file}"))?;
        }
        Ok(())
    }

    fn run(&self, file: &str, slot: usize) -> Result<tap::Outcome> {
        let job = Job {
            suite: &self.suite.dir,
            file,
            slot,
            nginx: &self.nginx,
            modules: &self.modules,
            purpose: &self.purpose,
        };
        job.run()
    }
}

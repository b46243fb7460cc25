//! `cargo xtask valgrind`: nginx and the module under memcheck.
//!
//! With files it runs those of `t/`, `nginx-tests/` or lua-nginx-module's suite. Without, it asks for the
//! pages of nginx-tests/valgrind.conf a few times and then many times: wrong accesses fail it, and
//! so does memory left at the end that grows with the number of requests, lost or not.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::subject;
use crate::memcheck::Report;
use crate::options::Options;
use crate::server::{Server, Subject};
use crate::setup::{self, Group};
use crate::tally::Tally;
use crate::{client, conformance, paths, prove};

/// The address in nginx-tests/valgrind.conf.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18390);
/// Its pages, and the status that each answers with.
const PAGES: &[(&str, &str)] = &[
    ("/say", "200"),
    ("/eof", "200"),
    ("/capture", "200"),
    ("/timer", "200"),
    ("/tls", "200"),
    ("/error", "500"),
    ("/exit", "403"),
];
/// The page whose client leaves.
const LEFT: &str = "/left";
/// How often each is asked for: a few times, and many times.
const ROUNDS: [usize; 2] = [10, 110];
/// How long a file of lua-nginx-module's suite may take: memcheck makes it ten times slower.
const TIME_LIMIT: Duration = Duration::from_secs(3600);
const PATIENT: Duration = Duration::from_secs(30);
const IMPATIENT: Duration = Duration::from_millis(100);
/// How long the last requests have to end.
const SETTLE: Duration = Duration::from_secs(1);

/// Runs `cargo xtask valgrind`.
pub fn command(options: Options, named: &[String]) -> Result<()> {
    if !named.is_empty() {
        return files(options, named);
    }
    setup::ensure(&[Group::Build, Group::Run, Group::Valgrind])?;
    soak(&subject(&options)?)
}

/// Memcheck's options; its logs go to `logs`, named after `name`.
fn memcheck(logs: &Path, name: &str) -> Vec<String> {
    vec![
        "--tool=memcheck".into(),
        "--leak-check=full".into(),
        "--show-leak-kinds=definite".into(),
        "--num-callers=30".into(),
        format!("--suppressions={}", paths::root().join("nginx-tests/valgrind.supp").display()),
        format!("--log-file={}/{name}-%p.log", logs.display()),
    ]
}

fn fresh(dir: &str) -> Result<PathBuf> {
    let dir = paths::target("valgrind").join(dir);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

fn soak(subject: &Subject) -> Result<()> {
    let mut left = Vec::new();
    for rounds in ROUNDS {
        let logs = fresh(&format!("soak-{rounds}"))?;
        play(subject, &logs, rounds)?;
        let report = Report::read(&logs)?;
        println!(
            "{rounds} rounds of {} requests: {} bytes left at the end, {} of them lost",
            PAGES.len() + 1,
            report.left,
            report.lost
        );
        show(&report, &logs);
        if report.processes == 0 {
            bail!("memcheck did not report: see {}", logs.display());
        }
        if report.findings.iter().any(|finding| !finding.is_loss()) {
            bail!("memory was used wrongly");
        }
        left.push(report.left);
    }
    let [few, many] = left.as_slice() else { bail!("no two runs to compare") };
    // What grows with requests grows by far more than a byte for each.
    let requests = (ROUNDS[1] - ROUNDS[0]) * (PAGES.len() + 1);
    match many.saturating_sub(*few) {
        grown if grown >= requests as u64 => {
            bail!("{requests} requests more left {grown} bytes more")
        }
        _ => Ok(()),
    }
}

/// Starts nginx under memcheck, asks for every page `rounds` times, and stops it.
fn play(subject: &Subject, logs: &Path, rounds: usize) -> Result<()> {
    let mut wrapper = vec!["valgrind".to_string()];
    wrapper.extend(memcheck(logs, "nginx"));
    let subject = Subject { wrapper, ..subject.clone() };
    let conf = paths::root().join("nginx-tests/valgrind.conf");
    let prefix = fresh("prefix")?;
    let _server = Server::start(&subject, &conf, &prefix, ADDRESS)?;
    for _ in 0..rounds {
        for (page, status) in PAGES {
            let answer = client::get(ADDRESS, page, PATIENT)?
                .with_context(|| format!("{page}: no whole answer in {PATIENT:?}"))?;
            if !answer.status.starts_with(status) {
                bail!("{page} answered {}, not {status}", answer.status);
            }
        }
        if let Some(answer) = client::get(ADDRESS, LEFT, IMPATIENT)? {
            bail!("{LEFT} answered {} to a client that had to leave", answer.status);
        }
    }
    // What is still under way when nginx stops would count as left.
    sleep(SETTLE);
    Ok(())
}

/// Runs test files under memcheck.
///
/// Errors: nothing ran, or memcheck has found something; a check that fails there, where all is ten
/// times slower, is no error.
pub fn files(options: Options, named: &[String]) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Run, Group::Valgrind, Group::Test, Group::Services])?;
    let logs = fresh("files")?;
    let (own, of_suite): (Vec<String>, Vec<String>) =
        named.iter().cloned().partition(|file| paths::root().join(file).is_file());
    let switches = memcheck(&logs, "%q{TEST_NAME}").join(" ");
    let environment = [
        ("TEST_NGINX_USE_VALGRIND", switches.as_str()),
        ("TEST_NGINX_TIMEOUT", "15"),
        ("TEST_NGINX_SLEEP", "0.1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_string(), value.to_string()));
    let environment = environment.to_vec();

    let subject = subject(&options)?;
    let results = logs.join("tap");
    let mut tally = Tally::default();
    if !own.is_empty() {
        let dir = paths::root();
        let files: Vec<PathBuf> = own.iter().map(|file| dir.join(file)).collect();
        let (logs, environment) = (results.clone(), environment.clone());
        tally += prove::run(&files, &subject, &prove::Settings { dir, logs, environment })?.tally;
    }
    if !of_suite.is_empty() {
        let purpose = conformance::Purpose { results, environment, time_limit: TIME_LIMIT };
        tally += conformance::run_for(purpose, &subject, &of_suite)?;
    }
    let report = Report::read(&logs)?;
    println!("{tally}; {} processes, {} bytes definitely lost", report.processes, report.lost);
    show(&report, &logs);
    if report.processes == 0 || tally.passed == 0 {
        bail!("nothing ran under memcheck: see {}", logs.display());
    }
    match report.findings.len() {
        0 => Ok(()),
        found => bail!("memcheck found {found} places"),
    }
}

fn show(report: &Report, logs: &Path) {
    for finding in &report.findings {
        println!("{} times: {}", finding.times, finding.kind);
        for call in &finding.stack {
            println!("    {call}");
        }
    }
    if !report.findings.is_empty() {
        println!("whole stacks: {}", logs.display());
    }
}

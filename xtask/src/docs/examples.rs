//! Tests that run the examples: for each family a file in Test::Nginx's format, below `target/docs/`.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::entry::{self, Entry, Example, Family};
use super::example::{indented, location};
use super::surface;
use crate::paths;

/// What the pages call something, and what it is called in the tests.
const NAMES: &[(&str, &str)] = &[
    ("/etc/nginx/tls/", "$TEST_NGINX_CERT_DIR/"),
    ("unix:/run/", "unix:$TEST_NGINX_HTML_DIR/"),
    ("127.0.0.1:8080", "127.0.0.1:$TEST_NGINX_SERVER_PORT"),
    ("\"127.0.0.1\", 8080", "\"127.0.0.1\", $TEST_NGINX_SERVER_PORT"),
    // A server of the example's own, on a port that only it has.
    ("127.0.0.1:9000", "127.0.0.1:$TEST_NGINX_RAND_PORT_1"),
    ("\"127.0.0.1\", 9000", "\"127.0.0.1\", $TEST_NGINX_RAND_PORT_1"),
    // A port on which nobody listens.
    ("127.0.0.1:9001", "127.0.0.1:$TEST_NGINX_RAND_PORT_2"),
    ("\"127.0.0.1\", 9001", "\"127.0.0.1\", $TEST_NGINX_RAND_PORT_2"),
];

const HEAD: &str = "use Test::Nginx::Socket::Lua 'no_plan';
use Cwd ();

$ENV{TEST_NGINX_CERT_DIR} ||= Cwd::cwd() . '/t/cert';
$ENV{TEST_NGINX_HTML_DIR} ||= html_dir();

# Another lua-resty-core, where one is named.
my ($core) = split /:/, $ENV{TEST_NGINX_RESTY_CORE} // '';
add_block_preprocessor( sub {
    my $block = shift;
    my $http  = $block->http_config // '';
    return if !$core || $http =~ /lua_package_path/;
    $block->set_value( 'http_config', qq{lua_package_path '$core/?.lua;;';\n$http} );
} );

log_level('info');
no_long_string();
run_tests();

__DATA__
";

/// Where an example without a request is asked whether nginx runs with it.
const LOADED: &str = "location = /loaded { return 204; }";

/// Writes the tests and returns their files.
pub fn write() -> Result<Vec<PathBuf>> {
    let dir = paths::target("docs");
    fs::create_dir_all(&dir)?;
    let mut files = Vec::new();
    for page in ["directives", "api"] {
        for family in entry::read(page)? {
            let examples = family.entry.iter().filter(|entry| entry.example.is_there());
            let blocks: Vec<String> = examples.map(|entry| block(&family, entry)).collect();
            if !blocks.is_empty() {
                let file = dir.join(format!("{page}-{}.t", family.name));
                fs::write(&file, HEAD.to_string() + &blocks.concat())?;
                files.push(file);
            }
        }
    }
    files.push(write_surface()?);
    Ok(files)
}

/// Writes the test of the functions that there are, and returns its file.
pub fn write_surface() -> Result<PathBuf> {
    let dir = paths::target("docs");
    fs::create_dir_all(&dir)?;
    let file = dir.join(surface::FILE);
    fs::write(&file, surface::test(HEAD)?)?;
    Ok(file)
}

/// The test of an entry's example.
fn block(family: &Family, entry: &Entry) -> String {
    let example = &entry.example;
    let mut text = format!("\n=== {}\n", entry.name);
    let http = [family.http.as_deref(), example.http.as_deref()];
    let http: String = http.into_iter().flatten().collect();
    let mut config = match &example.lua {
        Some(_) => location(example),
        None => example.config.clone().unwrap_or_default(),
    };
    if !example.is_asserted() {
        let _ = write!(config, "\n{LOADED}\n");
    }
    section(&mut text, "main_config", &in_tests(example.main.as_deref().unwrap_or_default()));
    section(&mut text, "http_config", &in_tests(&http));
    section(&mut text, "config", &in_tests(&indented(&config)));
    expectations(&mut text, example);
    text
}

fn expectations(text: &mut String, example: &Example) {
    if !example.is_asserted() {
        *text += "--- request\nGET /loaded\n--- error_code: 204\n";
        return;
    }
    section(text, "request", example.request.as_deref().unwrap_or("GET /t"));
    section(text, "more_headers", example.headers.as_deref().unwrap_or_default());
    if let Some(status) = example.status {
        let _ = writeln!(text, "--- error_code: {status}");
    }
    section(text, "response_headers", example.response_headers.as_deref().unwrap_or_default());
    if let Some(response) = &example.response {
        let chop = if response.ends_with('\n') { "" } else { " chop" };
        let _ = writeln!(text, "--- response_body{chop}\n{}", response.trim_end_matches('\n'));
    }
    if let Some(pattern) = &example.response_like {
        let _ = writeln!(text, "--- response_body_like chomp\n{}", pattern.trim_end());
    }
    match &example.log {
        Some(lines) => section(text, "error_log", lines),
        None => *text += "--- no_error_log\n[error]\n[alert]\n[crit]\n[emerg]\n",
    }
}

fn section(text: &mut String, name: &str, content: &str) {
    if !content.trim().is_empty() {
        let _ = writeln!(text, "--- {name}\n{}", content.trim_end());
    }
}

/// The configuration with the names that the tests have.
fn in_tests(config: &str) -> String {
    NAMES.iter().fold(config.to_string(), |text, (shown, tested)| text.replace(shown, tested))
}

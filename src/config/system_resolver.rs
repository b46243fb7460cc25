//! `lua_system_resolver`: how names are looked up where there is no `resolver`.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use codec::fallible;
use codec::system_names::{Hosts, ResolvConf};

use super::main::MainConf;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::event::system_names::SystemNames;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
/// What is longer is cut.
const MAX_FILE: u64 = 64 << 20;

/// The directive's values: texts of the files that it names.
#[derive(Default)]
pub struct SystemResolver {
    off: bool,
    resolv_conf: Option<Vec<u8>>,
    hosts: Option<Vec<u8>>,
}

/// `lua_system_resolver on | off | [resolv_conf=PATH] [hosts=PATH]`.
pub fn define(cf: Conf, main: &MainConf) -> ConfResult {
    if main.written.borrow().system_resolver.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    let mut values = SystemResolver::default();
    let count = cf.words().len();
    for index in 1..count {
        let word = cf.word(index);
        if let Some(path) = word.strip_prefix(b"resolv_conf=") {
            values.resolv_conf = Some(named(cf, path)?);
        } else if let Some(path) = word.strip_prefix(b"hosts=") {
            values.hosts = Some(named(cf, path)?);
        } else if count == 2 && (word == b"on" || word == b"off") {
            values.off = word == b"off";
        } else {
            return Err(cf.refuse(&fallible::concat(&[b"invalid parameter \"", word, b"\""])?));
        }
    }
    main.written.borrow_mut().system_resolver = Some(values);
    Ok(())
}

/// The text of a file that the directive names, which must be there.
fn named(cf: Conf, path: &[u8]) -> Result<Vec<u8>, ConfError> {
    let path = cf.full_path(path)?;
    read(&path).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        let text = [b"open() \"".as_slice(), path.as_os_str().as_bytes(), b"\" failed"].concat();
        cf.log_errno(Level::Emerg, errno, &text);
        ConfError::Logged
    })
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// Reads the system's files, now that it is known which ones.
pub fn make(cf: Conf, main: &MainConf) -> ConfResult {
    let values = main.written.borrow_mut().system_resolver.take().unwrap_or_default();
    if values.off {
        return Ok(());
    }
    // A system file that cannot be read counts as empty.
    let text = |named: Option<Vec<u8>>, path: &str| {
        named.unwrap_or_else(|| read(Path::new(path)).unwrap_or_default())
    };
    let hosts = Hosts::parse(&text(values.hosts, HOSTS));
    let conf = ResolvConf::parse(&text(values.resolv_conf, RESOLV_CONF));
    let _ = main.system_names.set(SystemNames::new(cf, hosts, conf)?);
    Ok(())
}

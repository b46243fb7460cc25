//! Directives whose value has a rule of its own, or that do more than to store it.

use super::location::{CodeCache, LocationConf};
use super::main::MainConf;
use super::server::ServerConf;
use super::{installers, values};
use crate::lua::vm::GlobalWrites;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};

pub(super) fn set_code_cache(cf: Conf, location: &LocationConf) -> ConfResult {
    let value = &mut location.written.borrow_mut().code_cache;
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match cf.word(1).to_ascii_lowercase().as_slice() {
        b"on" => CodeCache::On,
        b"off" => {
            cf.log(Level::Alert, b"lua_code_cache is off; this will hurt performance");
            CodeCache::Off
        }
        b"stat" => {
            MainConf::of(&cf).watches_code.set(true);
            CodeCache::Stat
        }
        _ => return Err(values::refuse(cf, b", it must be \"on\", \"off\" or \"stat\"")),
    });
    Ok(())
}

pub(super) fn define_status(cf: Conf, main: &MainConf) -> ConfResult {
    main.define_status(cf)?;
    installers::run(cf, |installers| installers.status);
    Ok(())
}

pub(super) fn install_profile(cf: Conf, _main: &MainConf) -> ConfResult {
    installers::run(cf, |installers| installers.profile);
    Ok(())
}

pub(super) fn install_threads(cf: Conf, _main: &MainConf) -> ConfResult {
    installers::run(cf, |installers| installers.threads);
    Ok(())
}

pub(super) fn set_strict_globals(cf: Conf, main: &MainConf) -> ConfResult {
    let value = &mut main.written.borrow_mut().global_writes;
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match cf.word(1) {
        b"warn" => GlobalWrites::Warned,
        b"error" => GlobalWrites::Refused,
        b"off" => GlobalWrites::Allowed,
        _ => {
            let explanation = b", it must be \"warn\", \"error\" or \"off\"";
            return Err(values::refuse(cf, explanation));
        }
    });
    Ok(())
}

/// A VM with lua-resty-core, and nothing else, takes a few hundred kilobytes.
const LEAST_MEMORY: usize = 1024 * 1024;

pub(super) fn set_max_memory(cf: Conf, main: &MainConf) -> ConfResult {
    let value = &mut main.written.borrow_mut().max_memory;
    values::set_size(cf, value)?;
    match value {
        Some(size) if *size < LEAST_MEMORY => Err(values::refuse(cf, b", it must be 1m at least")),
        _ => Ok(()),
    }
}

pub(super) fn set_package_path(cf: Conf, main: &MainConf) -> ConfResult {
    set_path(cf, &mut main.written.borrow_mut().package_path)
}

pub(super) fn set_package_cpath(cf: Conf, main: &MainConf) -> ConfResult {
    set_path(cf, &mut main.written.borrow_mut().package_cpath)
}

/// Where modules are looked for; as in the C module, an empty path is as good as none.
fn set_path(cf: Conf, path: &mut Option<Vec<u8>>) -> ConfResult {
    values::set_text(cf, path)?;
    if path.as_ref().is_some_and(Vec::is_empty) {
        *path = None;
    }
    Ok(())
}

/// The most idle connections that an `upstream` block keeps.
pub(super) fn set_keepalive(cf: Conf, server: &ServerConf) -> ConfResult {
    if server.idle.max.get().is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    let Some(number) = number(cf).filter(|number| *number > 0) else {
        return Err(values::refuse(cf, b""));
    };
    server.idle.max.set(Some(number));
    Ok(())
}

/// The directive's value, of digits only: nginx's numbers have no sign.
fn number(cf: Conf) -> Option<usize> {
    let word = std::str::from_utf8(cf.word(1)).ok()?;
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

pub(super) fn set_malloc_trim(cf: Conf, main: &MainConf) -> ConfResult {
    let Some(requests) = number(cf) else {
        return Err(ConfError::Directive(c"invalid number in the 1st argument"));
    };
    main.written.borrow_mut().malloc_trim = Some(requests);
    Ok(())
}

pub(super) fn warn_of_load_resty_core(cf: Conf, _main: &MainConf) -> ConfResult {
    cf.log(
        Level::Warn,
        b"lua_load_resty_core is deprecated (the lua-resty-core library is required since \
          ngx_lua v0.10.16)",
    );
    Ok(())
}

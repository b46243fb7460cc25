//! The release of this module that a VM presents to lua-resty-core.
//!
//! Each release of lua-resty-core accepts one number in `ngx.config.ngx_lua_version`, and calls some
//! symbols by the prototypes of that release. Its source is read before it is loaded, and the
//! release that it wants is presented; the newest one where it wants none. A feature that this
//! module lacks then fails by the name of the missing symbol.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU32, Ordering};

use codec::resty_core::{release_name, wanted_release};

use super::kind::Kind;
use super::state::{GLOBALS, REGISTRY, State};

/// The oldest release that can be presented: 0.10.23.
const OLDEST: u32 = 10_023;
/// The newest release whose changes are here: 0.10.32.
const NEWEST: u32 = 10_032;

/// The file with the comparison, as `package.path` names it.
const BASE: &str = "resty/core/base";
/// More than any release's source; what is longer is cut.
const MAX_SOURCE: u64 = 1 << 20;

/// The release that this process presents.
static PRESENTED: AtomicU32 = AtomicU32::new(NEWEST);

/// The release that a VM presents, and why.
#[derive(Debug, Clone)]
pub struct Release {
    /// 10023 for 0.10.23.
    pub number: u32,
    /// The source that wants one newer than [`NEWEST`].
    wanted_by: Option<OsString>,
}

impl Default for Release {
    fn default() -> Release {
        Release { number: NEWEST, wanted_by: None }
    }
}

impl Release {
    /// The release that the lua-resty-core on `package_path` wants; the newest if there is no
    /// lua-resty-core or it does not say, the oldest if it wants an older one.
    pub fn wanted_on(package_path: &[u8]) -> Release {
        let Some((path, source)) = find_base(package_path) else { return Release::default() };
        let number = wanted_release(&source).unwrap_or(NEWEST).max(OLDEST);
        Release { number, wanted_by: (number > NEWEST).then_some(path) }
    }

    /// The notice that the release is newer than all that this module knows; `None` if it is not.
    pub fn notice(&self) -> Option<String> {
        let path = self.wanted_by.as_ref()?.to_string_lossy();
        let (wanted, newest) = (release_name(self.number), release_name(NEWEST));
        Some(format!(
            "lua-resty-core at \"{path}\" requires ngx_http_lua_module {wanted}: presenting that \
             release, though this module follows the releases up to {newest}"
        ))
    }

    /// Makes it the release that this process presents, on which the symbols depend whose
    /// prototypes differ between releases.
    pub fn present(&self) {
        PRESENTED.store(self.number, Ordering::Relaxed);
    }

    /// Notes it in the VM's registry, for [`release_in`]. Runs in protected mode.
    pub(super) fn note_in(&self, mut state: State) {
        state.push_integer(self.number.into());
        state.set_field(REGISTRY, RELEASE);
    }

    /// Sets it in `ngx.config` of the VM. Runs in protected mode.
    pub(super) fn set_in(&self, mut state: State) {
        let top = state.top();
        state.get_field(GLOBALS, c"ngx");
        if state.kind(-1) == Kind::Table {
            state.get_field(-1, c"config");
            if state.kind(-1) == Kind::Table {
                state.push_integer(self.number.into());
                state.set_field(-2, c"ngx_lua_version");
            }
        }
        state.set_top(top);
    }
}

/// The release that the VM of `state` presents. It matters where a newer release has something more
/// in a table whose entries a script may count.
pub fn release_in(mut state: State) -> u32 {
    state.get_field(REGISTRY, RELEASE);
    let number = state.integer(-1);
    state.pop(1);
    u32::try_from(number).unwrap_or(NEWEST)
}

/// The registry's name of that number.
const RELEASE: &CStr = c"ngx_lua_release";

/// The release that this process presents: 10023 for 0.10.23.
pub fn presented() -> u32 {
    PRESENTED.load(Ordering::Relaxed)
}

/// What the presented release says: `now` from the release `since` on, `formerly` before.
pub fn worded<T>(since: u32, now: T, formerly: T) -> T {
    if presented() < since { formerly } else { now }
}

/// The first file on `package_path` that can be read, as `require` looks for it.
fn find_base(package_path: &[u8]) -> Option<(OsString, Vec<u8>)> {
    let templates = package_path.split(|&byte| byte == b';').filter(|part| !part.is_empty());
    for template in templates {
        let parts: Vec<&[u8]> = template.split(|&byte| byte == b'?').collect();
        let path = OsString::from_vec(parts.join(BASE.as_bytes()));
        let Ok(file) = File::open(&path) else { continue };
        let mut source = Vec::new();
        if file.take(MAX_SOURCE).read_to_end(&mut source).is_ok() {
            return Some((path, source));
        }
    }
    None
}

//! A path of the checkout that can stand in a configuration, in a shell's command and in lists of paths.
//!
//! nginx, its build and the tests cut lines at spaces, and take some characters for something else. If the
//! checkout's path has any of these, a link to it without them takes its place.

use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the links are.
const DIR: &str = "/tmp";

/// `path`, or a link to it.
pub fn of(path: &Path) -> PathBuf {
    if is_plain(path) {
        return path.to_path_buf();
    }
    link_in(Path::new(DIR), path).unwrap_or_else(|error| {
        eprintln!("the path \"{}\" has special characters: {error:#}", path.display());
        path.to_path_buf()
    })
}

fn is_plain(path: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,=@".contains(byte);
    path.as_os_str().as_bytes().iter().all(|byte| plain(byte) || !byte.is_ascii())
}

/// A link to `path` in a directory of the user's own below `dir`.
fn link_in(dir: &Path, path: &Path) -> Result<PathBuf> {
    let user = rustix::process::geteuid();
    let own = dir.join(format!("ngx-http-lua-module-{}", user.as_raw()));
    // Workers of nginx, which are another user's, go through it.
    let made = DirBuilder::new().mode(0o755).create(&own);
    let found = fs::symlink_metadata(&own)
        .with_context(|| format!("cannot make {}: {made:?}", own.display()))?;
    if !found.is_dir() || found.uid() != user.as_raw() {
        bail!("{} is somebody else's", own.display());
    }
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let link = own.join(format!("{:016x}", hasher.finish()));
    if fs::read_link(&link).ok().as_deref() != Some(path) {
        // Another command may make it at the same time.
        let made = symlink(path, &link);
        if fs::read_link(&link).ok().as_deref() != Some(path) {
            made.with_context(|| format!("cannot make the link {}", link.display()))?;
        }
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_special_characters_gets_a_link() {
        assert!(is_plain(Path::new("/home/me/src/ngx-lua_1.0/über")));
        for special in ["/a b", "/a;b", "/a$b", "/a\"b", "/a{b}", "/a*", "/a#b", "/a'b", "/a\\b"] {
            assert!(!is_plain(Path::new(special)), "{special}");
        }
        let home = std::env::temp_dir().join(format!("plain-root-{}", std::process::id()));
        let checkout = home.join("a b");
        fs::create_dir_all(&checkout).unwrap();
        fs::write(checkout.join("file"), "text").unwrap();
        let link = link_in(&home, &checkout).unwrap();
        assert!(!link.to_string_lossy().contains(' '));
        assert_eq!(fs::read_to_string(link.join("file")).unwrap(), "text");
        assert_eq!(link_in(&home, &checkout).unwrap(), link, "the same again");
        fs::remove_dir_all(&home).unwrap();
    }
}

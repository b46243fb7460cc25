//! The disk under `target/`: many programs that fail on a full one say everything else.

use std::path::Path;

use rustix::fs::statvfs;

use crate::paths;

/// Less than this is not enough to go on: bytes.
const TOO_LITTLE: u64 = 50 << 20;

/// What to say after a failure if the disk is full, or nearly.
pub fn hint() -> Option<String> {
    let target = paths::target("");
    let target = if target.exists() { target } else { paths::root() };
    hint_for(&target, free_on(&target)?)
}

/// How many bytes one may still write where `dir` is.
fn free_on(dir: &Path) -> Option<u64> {
    let disk = statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn hint_for(dir: &Path, free: u64) -> Option<String> {
    (free < TOO_LITTLE).then(|| {
        let megabytes = free >> 20;
        format!(
            "the disk is full, which may be why: {megabytes} MB are left in {}; a build and its \
             tests take about 5 GB",
            dir.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told() {
        let hint = hint_for(Path::new("/there"), 3 << 20).unwrap();
        assert!(hint.contains("disk is full") && hint.contains("3 MB") && hint.contains("/there"));
        assert_eq!(hint_for(Path::new("/there"), TOO_LITTLE), None);
    }

    #[test]
    fn the_free_space_is_asked() {
        assert!(free_on(Path::new("/")).is_some());
        assert_eq!(free_on(Path::new("/no/such/directory")), None);
    }
}

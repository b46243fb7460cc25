//! nginx with the module in its binary, as nginx's own build makes it by the files `config` and
//! `config.make`: that build runs cargo.

use std::fs;

use anyhow::{Context, Result};

use super::{ALL_FLAGS, Tree, configured, make, sources};
use crate::paths;

impl Tree {
    /// Makes the nginx of the crate `nginx-src` with the module, or what has changed of it.
    ///
    /// Errors: it could not be configured or built.
    pub fn with_module() -> Result<Self> {
        let root = paths::root();
        let module = format!("--add-module={}", root.display());
        let flags: Vec<_> = ALL_FLAGS.iter().copied().chain([module.as_str()]).collect();
        // What configure reads of the module, beside the flag.
        let mut read = String::new();
        for name in ["config", "config.make"] {
            let path = root.join(name);
            read += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        }
        let sources = sources::vendored()?;
        let source_dir = configured(&sources, "nginx-with-module", &flags, &read)?;
        let binary = make(&source_dir, "with the module")?;
        Ok(Self { build_dir: source_dir.join("objs"), source_dir, binary })
    }
}

//! Debian's nginx modules, as lua-nginx-module's suite uses them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const MODULES: &str = "/usr/lib/nginx/modules";

/// Debian's file of an nginx module.
pub fn debian_module(file: &str) -> Result<PathBuf> {
    let path = Path::new(MODULES).join(file);
    if !path.is_file() {
        bail!("{} is missing: its Debian package is not installed", path.display());
    }
    Ok(path)
}

/// The modules that lua-nginx-module's suite uses, in the order of loading: `lua` among the side modules.
/// set-misc needs ndk before it; the rest follows the order of Debian's own configuration.
pub fn side_modules(lua: PathBuf) -> Result<Vec<PathBuf>> {
    let mut modules = vec![debian_module("ndk_http_module.so")?];
    for file in ["ngx_http_echo_module.so", "ngx_http_headers_more_filter_module.so"] {
        modules.push(debian_module(file)?);
    }
    modules.push(lua);
    for file in [
        "ngx_http_memc_module.so",
        "ngx_http_set_misc_module.so",
        "ngx_http_srcache_filter_module.so",
        "ngx_stream_module.so",
    ] {
        modules.push(debian_module(file)?);
    }
    Ok(modules)
}

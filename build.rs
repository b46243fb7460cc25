//! Passes nginx's configured features on as `cfg(ngx_feature = "…")`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    pass_features();
    pass_version();
}

/// nginx-sys tells its direct dependents, in `DEP_NGINX_*`, how nginx was configured.
fn pass_features() {
    let known = env::var("DEP_NGINX_FEATURES_CHECK").unwrap_or_default();
    println!("cargo::rustc-check-cfg=cfg(ngx_feature, values({known}))");
    for feature in env::var("DEP_NGINX_FEATURES").unwrap_or_default().split(',') {
        println!("cargo::rustc-cfg=ngx_feature=\"{}\"", feature.trim());
    }
}

/// Since 1.23.0, nginx links the values of a header to one another; before, it kept arrays.
fn pass_version() {
    println!("cargo::rustc-check-cfg=cfg(nginx_header_links)");
    let version = env::var("DEP_NGINX_VERSION_NUMBER").expect("nginx-sys exports its version");
    if version.parse::<u32>().expect("nginx's version is a number") >= 1_023_000 {
        println!("cargo::rustc-cfg=nginx_header_links");
    }
}

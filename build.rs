//! Binds the nginx headers that nginx-sys leaves out, and passes nginx's configured features on as
//! `cfg(ngx_feature = "…")`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/headers.h");
    pass_features();
    pass_version();
    bind_headers();
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

fn bind_headers() {
    let include = env::var_os("DEP_NGINX_INCLUDE").expect("nginx-sys exports its include paths");
    let mut arguments: Vec<String> =
        env::split_paths(&include).map(|path| format!("-I{}", path.display())).collect();
    let cflags = env::var("DEP_NGINX_CFLAGS").unwrap_or_default();
    arguments.extend(cflags.split_whitespace().map(str::to_owned));

    let bindings = bindgen::Builder::default()
        .header("build/headers.h")
        .clang_args(arguments)
        .allowlist_recursively(false)
        .allowlist_type("ngx_md5_t")
        .allowlist_function("ngx_md5_(init|update|final)")
        .layout_tests(false)
        .generate()
        .expect("bindings for build/headers.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings.write_to_file(out.join("headers.rs")).expect("OUT_DIR is writable");
}

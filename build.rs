//! Passes nginx's configured features on as `cfg(ngx_feature = "…")`, and has bindgen make of the
//! installed headers what the crates nginx-sys and mlua leave out: of `src/nginx/sys.h` and
//! `src/lua/sys.h`, for the `sys.rs` beside each.

// What is missing here stops the build.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::env;
use std::path::{Path, PathBuf};

use bindgen::callbacks::{ItemInfo, ParseCallbacks};

fn main() {
    bind_own_symbols();
    println!("cargo::rerun-if-changed=build.rs");
    pass_features();
    let includes = env::var_os("DEP_NGINX_INCLUDE").expect("nginx-sys exports its include paths");
    bind_nginx(&env::split_paths(&includes).collect::<Vec<_>>());
    println!("cargo::rustc-check-cfg=cfg(openresty_luajit)");
    bind_luajit(&luajit());
}

/// The module uses its own symbols also where another module in the process has some of the same names.
fn bind_own_symbols() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}

/// nginx-sys tells its direct dependents, in `DEP_NGINX_*`, how nginx was configured.
fn pass_features() {
    let known = env::var("DEP_NGINX_FEATURES_CHECK").unwrap_or_default();
    println!("cargo::rustc-check-cfg=cfg(ngx_feature, values({known}))");
    for feature in env::var("DEP_NGINX_FEATURES").unwrap_or_default().split(',') {
        println!("cargo::rustc-cfg=ngx_feature=\"{}\"", feature.trim());
    }
}

/// Symbols of patched nginxes, by which src/nginx/core/host.rs tells them from others.
const MARKS: [&str; 4] = [
    "ngx_posted_delayed_events",
    "ngx_is_privileged_agent",
    "ngx_show_build_info",
    "ngx_daemon_sync",
];

/// nginx's own callback at the ClientHello of a TLS handshake, which newer nginxes have.
const CLIENT_HELLO: &str = "ngx_ssl_client_hello_callback";

fn bind_nginx(includes: &[PathBuf]) {
    let bindings = header("src/nginx/sys.h", includes)
        .allowlist_var("LUA_.*|ANGIE_VER")
        .allowlist_type("ngx_table_elt_t|lua_rewrite_conf_t|lua_realip_ctx_t")
        .allowlist_item(MARKS.join("|"))
        .parse_callbacks(Box::new(OwnNames))
        .generate()
        .expect("nginx's headers");
    // Newer nginxes link the values of a header to one another; older ones keep arrays.
    println!("cargo::rustc-check-cfg=cfg(nginx_header_links)");
    if bindings.to_string().contains("next: *mut ngx_table_elt_t") {
        println!("cargo::rustc-cfg=nginx_header_links");
    }
    for mark in MARKS {
        println!("cargo::rustc-check-cfg=cfg({mark})");
        if bindings.to_string().contains(mark) {
            println!("cargo::rustc-cfg={mark}");
        }
    }
    find_members(includes);
    find_client_hello(includes);
    println!("cargo::rustc-check-cfg=cfg(angie)");
    let mut server = env::var("DEP_NGINX_VERSION").expect("nginx-sys exports nginx's version");
    if let Some(angie) = text_of("ANGIE_VER", &bindings.to_string()) {
        println!("cargo::rustc-cfg=angie");
        server = angie;
    }
    println!("cargo::rustc-env=BUILT_FOR_NGINX={server}");
    bindings.write_to_file(out("nginx.rs")).expect("OUT_DIR");
}

/// Members of nginx's structures that not all servers have, and by what names Rust code asks for them: a
/// resolver of Angie's may have the servers of the system; in nginx, an output of a log knows when its disk
/// was full; newer ones keep what else the PROXY protocol has sent, and what OCSP says of a client's certificate;
/// where the system has semaphores, a mutex counts who waits for it.
const MEMBERS: [(&str, &str); 5] = [
    ("resolv_conf", "ngx_resolver_resolv_conf"),
    ("disk_full_time", "ngx_log_disk_full_time"),
    ("tlvs", "ngx_proxy_protocol_tlvs"),
    ("ocsp", "ngx_ssl_ocsp"),
    ("wait", "ngx_shmtx_wait"),
];

fn find_client_hello(includes: &[PathBuf]) {
    let functions = header("src/nginx/sys.h", includes)
        .allowlist_function(CLIENT_HELLO)
        .allowlist_recursively(false)
        .generate()
        .expect("nginx's headers");
    println!("cargo::rustc-check-cfg=cfg({CLIENT_HELLO})");
    if functions.to_string().contains(CLIENT_HELLO) {
        println!("cargo::rustc-cfg={CLIENT_HELLO}");
    }
}

fn find_members(includes: &[PathBuf]) {
    let structures = header("src/nginx/sys.h", includes)
        .allowlist_type(
            "ngx_resolver_s|ngx_log_s|ngx_proxy_protocol_s|ngx_ssl_connection_s|ngx_shmtx_t",
        )
        .allowlist_recursively(false)
        .generate()
        .expect("nginx's headers")
        .to_string();
    for (member, name) in MEMBERS {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if structures.contains(&format!("pub {member}:")) {
            println!("cargo::rustc-cfg={name}");
        }
    }
}

/// The text that a constant of the bindings is.
fn text_of(name: &str, bindings: &str) -> Option<String> {
    let value = bindings.split(&format!("pub const {name}: ")).nth(1)?;
    Some(value.split('"').nth(1)?.trim_end_matches("\\0").to_string())
}

/// Where the headers of the system's LuaJIT are, which mlua links.
#[cfg(not(feature = "vendored"))]
fn luajit() -> Vec<PathBuf> {
    // Without luajit.pc, clang may find the headers still: BINDGEN_EXTRA_CLANG_ARGS.
    let luajit = pkg_config::Config::new().cargo_metadata(false).probe("luajit");
    luajit.map(|l| l.include_paths).unwrap_or_default()
}

/// Builds LuaJIT and has it linked; where its headers are.
#[cfg(feature = "vendored")]
fn luajit() -> Vec<PathBuf> {
    let luajit = luajit_src::Build::new().build();
    let includes = vec![luajit.include_dir().to_path_buf()];
    export_luajit(&luajit.lib_dir().join("libluajit.a"), &includes);
    includes
}

/// Has the module export LuaJIT's interface in C, where Lua's libraries in C look for it. A module in Rust
/// exports functions of its own only: so LuaJIT's get other names, and each old name a function that
/// jumps to the new one.
#[cfg(feature = "vendored")]
fn export_luajit(library: &Path, includes: &[PathBuf]) {
    let bindings = header("src/lua/vendored.h", includes)
        .allowlist_function("lua.*")
        // Declared there, and defined nowhere.
        .blocklist_function("lua_setlevel")
        .generate()
        .expect("LuaJIT's headers")
        .to_string();
    let names = bindings.split("pub fn ").skip(1).filter_map(|f| f.split(['(', ' ']).next());
    let (mut renamed, mut exported) = (String::new(), String::from("exported! {\n"));
    for name in names {
        renamed += &format!("{name} own_{name}\n");
        exported += &format!("    {name} = own_{name};\n");
    }
    exported += "}\n";
    std::fs::write(out("vendored.rs"), exported).expect("OUT_DIR");
    let list = out("vendored.names");
    std::fs::write(&list, renamed).expect("OUT_DIR");
    // objcopy is where ar is, for the same processor.
    let ar = cc::Build::new().get_archiver().get_program().to_string_lossy().into_owned();
    let objcopy = ar.strip_suffix("ar").unwrap_or_default().to_owned() + "objcopy";
    let mut command = std::process::Command::new(&objcopy);
    command.arg("--redefine-syms").arg(list).arg(library).arg(out("libvendored_luajit.a"));
    let done = command.status().unwrap_or_else(|error| panic!("cannot run {objcopy}: {error}"));
    assert!(done.success(), "{objcopy} failed: {done}");
    println!("cargo::rustc-link-search=native={}", out("").display());
    println!("cargo::rustc-link-lib=static=vendored_luajit");
}

fn bind_luajit(includes: &[PathBuf]) {
    let bindings = header("src/lua/sys.h", includes)
        .allowlist_function("lua_([gs]etexdata2?|resetthread|isyieldable)")
        .allowlist_function("luaL_traceback|luaJIT_(setmode|profile_(start|stop))")
        .allowlist_type("lua_Debug")
        .blocklist_type("lua_State")
        .override_abi(bindgen::Abi::CUnwind, ".*")
        .generate()
        .expect("LuaJIT's headers");
    // LuaJIT as it comes from its authors keeps no data of others in a coroutine.
    if bindings.to_string().contains("fn lua_getexdata2") {
        println!("cargo::rustc-cfg=openresty_luajit");
    }
    bindings.write_to_file(out("luajit.rs")).expect("OUT_DIR");
}

fn header(path: &str, includes: &[PathBuf]) -> bindgen::Builder {
    println!("cargo::rerun-if-changed={path}");
    let edition = bindgen::RustEdition::Edition2024;
    let version = env::var("CARGO_PKG_RUST_VERSION").expect("rust-version in Cargo.toml");
    bindgen::Builder::default()
        .header(path)
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .rust_target(version.parse().expect("a version that bindgen knows"))
        .rust_edition(edition)
        .layout_tests(false)
}

fn out(name: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name)
}

/// A macro cannot be the name of a constant in C.
#[derive(Debug)]
struct OwnNames;

impl ParseCallbacks for OwnNames {
    fn item_name(&self, item: ItemInfo<'_>) -> Option<String> {
        item.name.strip_prefix("LUA_").map(str::to_string)
    }
}

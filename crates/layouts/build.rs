//! Writes down what the tests compare: of each structure of nginx's its size, the places of its
//! members and its bit fields, once in C and once in Rust. The names are those that bindgen finds
//! in nginx's headers; so a structure that nginx adds or changes is compared without a change here.

// What is missing here stops the build.
#![allow(clippy::disallowed_methods, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A structure, by the name that C and Rust have for it.
#[derive(Debug, Default)]
struct Structure {
    /// As Rust calls them.
    members: Vec<String>,
    bit_fields: BTreeSet<String>,
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let includes = env::var_os("DEP_NGINX_INCLUDE").expect("nginx-sys exports its include paths");
    let includes: Vec<PathBuf> = env::split_paths(&includes).collect();
    let structures = structures(&includes);
    let (c, rust) = (out("layouts.c"), out("layouts.rs"));
    fs::write(&c, in_c(&structures)).expect("OUT_DIR");
    fs::write(&rust, in_rust(&structures)).expect("OUT_DIR");
    compiler(&includes).file(c).compile("layouts");
    compare_private(&includes);
}

/// nginx's structures. It has a typedef for each of its own, which ends in `_t`.
fn structures(includes: &[PathBuf]) -> BTreeMap<String, Structure> {
    println!("cargo::rerun-if-changed=src/headers.h");
    let bindings = bindgen::Builder::default()
        .header("src/headers.h")
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .allowlist_type("ngx_.*_t")
        .layout_tests(false)
        .generate()
        .expect("nginx's headers");
    let file = syn::parse_file(&bindings.to_string()).expect("bindgen writes Rust");
    let (mut found, mut names) = (BTreeMap::new(), BTreeMap::new());
    for item in &file.items {
        match item {
            syn::Item::Struct(item) => {
                let structure: &mut Structure = found.entry(item.ident.to_string()).or_default();
                structure.members = members(&item.fields);
            }
            syn::Item::Impl(item) => {
                let syn::Type::Path(path) = &*item.self_ty else { continue };
                let Some(name) = path.path.get_ident() else { continue };
                let structure = found.entry(name.to_string()).or_default();
                structure.bit_fields = bit_fields(&item.items);
            }
            syn::Item::Type(item) => {
                let syn::Type::Path(path) = &*item.ty else { continue };
                let Some(name) = path.path.get_ident() else { continue };
                names.insert(name.to_string(), item.ident.to_string());
            }
            _ => {}
        }
    }
    let named = found.into_iter().map(|(name, structure)| match names.get(&name) {
        Some(typedef) if !name.ends_with("_t") => (typedef.clone(), structure),
        _ => (name, structure),
    });
    // Structures without a name are not compared by themselves: they are parts of others, in whose
    // size and later members a difference shows. What is only declared has no known size.
    let is_known =
        |structure: &Structure| !structure.members.is_empty() || !structure.bit_fields.is_empty();
    named
        .filter(|(name, _)| name.starts_with("ngx_") && name.ends_with("_t"))
        .filter(|(_, structure)| is_known(structure))
        .collect()
}

/// The members that C has names for; the names of those that bindgen adds begin with `_`.
fn members(fields: &syn::Fields) -> Vec<String> {
    let names = fields.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string()));
    names.filter(|name| !name.starts_with('_')).collect()
}

/// The bit fields: each has a getter of its name and a setter, besides those that take a raw
/// pointer, whose names end in `_raw`.
fn bit_fields(items: &[syn::ImplItem]) -> BTreeSet<String> {
    let functions = items.iter().filter_map(|item| match item {
        syn::ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
        _ => None,
    });
    let functions: BTreeSet<String> = functions.collect();
    let set = functions.iter().filter_map(|name| name.strip_prefix("set_"));
    let is_field = |name: &&str| functions.contains(*name) && !name.ends_with("_raw");
    set.filter(is_field).map(String::from).collect()
}

/// What C calls a member: bindgen adds `_` to Rust's keywords; no name of nginx's ends in it.
fn c_name(name: &str) -> &str {
    name.strip_suffix('_').unwrap_or(name)
}

fn in_c(structures: &BTreeMap<String, Structure>) -> String {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/headers.h");
    let mut text = format!("#include \"{}\"\n", headers.display());
    let (mut places, mut fields) = (String::new(), String::new());
    let mut count = 0;
    for (name, structure) in structures {
        places += &format!("sizeof({name}),\n");
        for member in &structure.members {
            places += &format!("offsetof({name}, {}),\n", c_name(member));
        }
        for field in structure.bit_fields.iter().map(|field| c_name(field)) {
            text += &format!(
                "static void set_{count}(void *p) {{ (({name} *) p)->{field} = ~0; }}\n\
                 static uint64_t get_{count}(void *p) {{ return (({name} *) p)->{field}; }}\n"
            );
            fields += &format!("{{ set_{count}, get_{count} }},\n");
            count += 1;
        }
    }
    text + &format!(
        "const size_t layouts_places[] = {{\n{places}}};\n\
         const struct {{ void (*set)(void *); uint64_t (*get)(void *); }} layouts_bit_fields[] = {{\n\
         {fields}}};\n"
    )
}

fn in_rust(structures: &BTreeMap<String, Structure>) -> String {
    let (mut places, mut fields) = (String::new(), String::new());
    for (name, structure) in structures {
        places += &format!("place!({name}),\n");
        for member in &structure.members {
            places += &format!("place!({name}, {member}),\n");
        }
        for field in &structure.bit_fields {
            fields += &format!("bit_field!({name}, {field}, set_{field}),\n");
        }
    }
    format!(
        "pub const PLACES: &[Place] = &[\n{places}];\n\
         pub const BIT_FIELDS: &[BitField] = &[\n{fields}];\n"
    )
}

/// Compiles what compares the module's own declarations of what nginx has in C files, where this
/// source tree has them: that of Debian's package nginx-dev has none.
fn compare_private(includes: &[PathBuf]) {
    println!("cargo::rerun-if-changed=src/private.c");
    println!("cargo::rerun-if-changed=../../src/nginx/sys.h");
    let core = includes.iter().find(|dir| dir.ends_with("src/core")).expect("nginx's src/core");
    let http = core.with_file_name("http");
    if http.join("modules/ngx_http_rewrite_module.c").is_file() {
        compiler(includes).include(http).file("src/private.c").compile_intermediates();
    }
}

fn compiler(includes: &[PathBuf]) -> cc::Build {
    let mut compiler = cc::Build::new();
    compiler.includes(includes).warnings(false);
    // The macros by which .cargo/config.toml renames a member for nginx-sys.
    let words = env::var("BINDGEN_EXTRA_CLANG_ARGS").unwrap_or_default();
    for word in words.split(' ').filter(|word| word.starts_with("-D")) {
        compiler.flag(word);
    }
    compiler
}

fn out(name: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name)
}

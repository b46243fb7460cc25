//! The table of Lua functions, the `Row`s of `src/api/`: each says where its function may be called.
//! The reference in `docs/` is made from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::visit::{self, Visit};

use crate::docs::phases::{self, Where};
use crate::paths;
use crate::rust_source::{Constants, c_string, constant_argument, shown};

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The folder or file below `src/api/`: `print`, `log`.
    pub family: String,
    /// `anywhere`, `in_phases`, `late`, `late_anywhere`, `in_request` or `late_in_request`.
    pub kind: String,
    pub name: String,
    /// Where the function may be called.
    pub allowed: Where,
}

/// All rows.
pub fn table() -> Result<Vec<Row>> {
    let api = paths::root().join("src/api");
    let mut families: BTreeMap<String, Vec<syn::File>> = BTreeMap::new();
    for path in paths::below(&api, "rs")? {
        let inside = path.strip_prefix(&api)?;
        // call.rs defines the rows; the build with faults on demand is never released.
        if [Path::new("call.rs"), Path::new("fault.rs")].contains(&inside) {
            continue;
        }
        let family = inside.iter().next().unwrap_or_default().to_string_lossy();
        let file = syn::parse_file(&fs::read_to_string(&path)?)
            .with_context(|| path.display().to_string())?;
        families.entry(family.trim_end_matches(".rs").into()).or_default().push(file);
    }
    let rows = families.iter().map(|(family, files)| rows_of(family, files));
    Ok(rows.collect::<Result<Vec<_>>>()?.concat())
}

/// The rows in the files of a family, which share constants.
fn rows_of(family: &str, files: &[syn::File]) -> Result<Vec<Row>> {
    let (mut calls, mut constants) = (Calls::default(), Constants::default());
    for file in files {
        calls.visit_file(file);
        constants.visit_file(file);
    }
    calls.0.iter().map(|call| row(family, call, &constants)).collect()
}

/// The types whose functions make rows: they differ in what is said without a request.
const MAKERS: [&str; 3] = ["Row", "ObjectRow", "BodyRow"];

/// The function of one of [`MAKERS`] that `path` names.
fn maker(path: &syn::Path) -> Option<String> {
    let path = shown(path);
    let (made, function) = path.split_once("::")?;
    MAKERS.contains(&made).then(|| function.into())
}

/// The calls `Row::…(…)`.
#[derive(Default)]
struct Calls(Vec<syn::ExprCall>);

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func
            && maker(&path.path).is_some()
        {
            self.0.push(call.clone());
        }
        visit::visit_expr_call(self, call);
    }
}

fn row(family: &str, call: &syn::ExprCall, constants: &Constants) -> Result<Row> {
    let syn::Expr::Path(path) = &*call.func else { bail!("no path") };
    let last = path.path.segments.last().context("an empty path")?;
    let kind = last.ident.to_string();
    let name = call.args.first().and_then(c_string).context("a row without a name")?;
    let phases = match &last.arguments {
        syn::PathArguments::AngleBracketed(list) => list.args.first().and_then(constant_argument),
        _ => None,
    };
    let allowed = match (kind.as_str(), phases) {
        ("anywhere", None) => Where::ANYWHERE,
        ("in_request" | "late_in_request", None) => Where::of(phases::PhaseSet::OF_CLIENTS),
        ("in_phases" | "late" | "late_anywhere", Some(expr)) => {
            let bits = constants.bits(&expr, &phases::leaf);
            Where::of(phases::PhaseSet(bits.with_context(|| format!("the row {name}"))?))
        }
        _ => bail!("the row {name} does not say where it may be called"),
    };
    Ok(Row { family: family.into(), kind, name, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::phases::{Phase, PhaseSet};

    #[test]
    fn every_row_names_its_phases() {
        let rows = table().unwrap();
        assert!(rows.len() > 70, "{} rows are not the whole table", rows.len());
        for row in rows {
            assert!(row.allowed.phases != PhaseSet::NONE, "{row:?}");
        }
    }

    /// Whether there is a call `….check()`, without arguments.
    struct Checks(bool);

    impl<'ast> Visit<'ast> for Checks {
        fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
            self.0 |= call.method == "check" && call.args.is_empty();
            visit::visit_expr_method_call(self, call);
        }
    }

    /// The functions of rows whose phase is checked before they run, and which check it again.
    fn checked_twice(files: &[syn::File]) -> Vec<String> {
        let mut calls = Calls::default();
        files.iter().for_each(|file| calls.visit_file(file));
        let is_early = |call: &&syn::ExprCall| {
            let syn::Expr::Path(path) = &*call.func else { return false };
            matches!(maker(&path.path).as_deref(), Some("in_phases" | "in_request"))
        };
        let named = calls.0.iter().filter(is_early).filter_map(|call| match call.args.get(1) {
            Some(syn::Expr::Path(function)) => Some(function.path.segments.last()?.ident.clone()),
            _ => None,
        });
        let named: Vec<_> = named.collect();
        let functions = files.iter().flat_map(|file| &file.items).filter_map(|item| match item {
            syn::Item::Fn(function) => Some(function),
            _ => None,
        });
        functions
            .filter(|function| named.contains(&function.sig.ident))
            .filter(|function| {
                let mut checks = Checks(false);
                checks.visit_block(&function.block);
                checks.0
            })
            .map(|function| function.sig.ident.to_string())
            .collect()
    }

    #[test]
    fn no_phase_is_checked_twice() {
        let api = paths::root().join("src/api");
        for path in paths::below(&api, "rs").unwrap() {
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(checked_twice(&[file]), Vec::<String>::new(), "{}", path.display());
        }
        let made_up = "const F: &[Row] = &[Row::in_phases::<ALL, _>(c\"a\", a), Row::late::<X, _>(c\"b\", b)];\n\
                       fn a(call: &Call) -> LuaResult { call.check()?; f() }\n\
                       fn b(call: &Call) -> LuaResult { call.check()?; f() }";
        assert_eq!(checked_twice(&[syn::parse_file(made_up).unwrap()]), ["a"]);
    }

    #[test]
    fn who_is_to_ask_for_the_phase_is_tried() {
        let tried = fs::read_to_string(paths::root().join("t/203-wrong-phase.t")).unwrap();
        for row in table().unwrap().iter().filter(|row| row.kind.starts_with("late")) {
            let call = format!("{}(", row.name.trim_start_matches('_'));
            assert!(tried.contains(&call), "t/203-wrong-phase.t does not try {}", row.name);
        }
    }

    #[test]
    fn rows_are_read() {
        let source = "// Row::anywhere(c\"old\", old)\nconst SOME: u32 = PhaseSet::REQUEST.without(\
                      Phase::Content).0;\nconst F: &[Row] = &[Row::anywhere(c\"at\", at),\n    \
                      ObjectRow::late::<SOME, _>(\n        c\"eof\",\n        eof,\n    )];\n";
        let row = |kind: &str, allowed, name: &str| Row {
            family: "x".into(),
            kind: kind.into(),
            name: name.into(),
            allowed,
        };
        let some = Where::of(PhaseSet::REQUEST.without(Phase::Content));
        let expected = [row("anywhere", Where::ANYWHERE, "at"), row("late", some, "eof")];
        let rows = |source| rows_of("x", &[syn::parse_file(source).unwrap()]);
        assert_eq!(rows(source).unwrap(), expected);
        assert!(rows("const F: R = Row::in_phases(c\"x\", x);").is_err());
        assert!(rows("const F: R = Row::in_phases::<MAX, _>(c\"x\", x);").is_err());
    }
}

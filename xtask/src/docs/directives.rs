//! The module's table of directives, as `src/config/directives.rs` writes it.

use std::fs;

use anyhow::{Context, Result, bail};
use syn::{Expr, Item};

use super::phases::{INIT, PHASES, Phase};
use crate::paths;
use crate::rust_source::{Constants, c_string, shorthands, shown};

/// One row.
#[derive(Debug)]
pub struct Directive {
    pub name: String,
    /// Where it may stand, in nginx's words.
    pub contexts: Vec<&'static str>,
    /// What follows the name: `on | off;`. None where the table does not say what the words mean.
    pub syntax: Option<&'static str>,
    pub form: Option<Form>,
    /// Where its code runs.
    pub phase: Option<&'static str>,
    /// The value where there is no such directive; none where the source does not have it as a literal.
    pub default: Option<String>,
}

/// How the code of a directive is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Inline,
    Block,
    File,
}

const PLACES: &[(&str, &str)] = &[
    ("NGX_HTTP_MAIN_CONF", "http"),
    ("NGX_HTTP_SRV_CONF", "server"),
    ("NGX_HTTP_SIF_CONF", "if in server"),
    ("NGX_HTTP_LOC_CONF", "location"),
    ("NGX_HTTP_LIF_CONF", "if in location"),
    ("NGX_HTTP_UPS_CONF", "upstream"),
];

/// The files that have the values where a directive is missing.
const VALUES: &[&str] = &["main.rs", "location.rs", "tls.rs"];

/// All rows.
pub fn table() -> Result<Vec<Directive>> {
    let config = paths::root().join("src/config");
    let source = fs::read_to_string(config.join("directives.rs"))?;
    let values: Result<Vec<String>, _> =
        VALUES.iter().map(|name| fs::read_to_string(config.join(name))).collect();
    rows(&source, &values?.concat())
}

fn rows(source: &str, values: &str) -> Result<Vec<Directive>> {
    let file = syn::parse_file(source)?;
    let shorthands = shorthands(&file);
    let constants = Constants::of(&file);
    let list = file.items.iter().find_map(|item| match item {
        Item::Static(table) if table.ident == "DIRECTIVES" => Some(&table.expr),
        _ => None,
    });
    let Some(Expr::Reference(list)) = list.map(|list| &**list) else { bail!("no DIRECTIVES") };
    let Expr::Array(list) = &*list.expr else { bail!("DIRECTIVES is no list") };
    let mut rows = Vec::new();
    for element in &list.elems {
        let Expr::Call(call) = element else { bail!("a row that is no call") };
        let mut call = call.clone();
        loop {
            let Expr::Path(path) = &*call.func else { bail!("a row that calls no function") };
            let arguments: Vec<Expr> = call.args.iter().cloned().collect();
            let name = shown(&path.path);
            if name == "row" {
                rows.push(row(&arguments, &constants, values)?);
                break;
            }
            let shorthand = shorthands.get(&name).with_context(|| format!("no function {name}"))?;
            call = shorthand.expanded(&arguments);
        }
    }
    Ok(rows)
}

fn row(arguments: &[Expr], constants: &Constants, values: &str) -> Result<Directive> {
    let [name, place, _, sets] = arguments else { bail!("a row that is not of four values") };
    let name = c_string(name).context("a row without a name")?;
    let leaf = |path: &str| PLACES.iter().position(|(bit, _)| *bit == path).map(|at| 1 << at);
    let place = constants.bits(place, &leaf).with_context(|| name.clone())?;
    let places = PLACES.iter().enumerate().filter(|(at, _)| place & (1 << at) != 0);
    let (kind, sets) = call(sets).with_context(|| format!("{name} sets nothing"))?;
    let form = sets.first().and_then(form);
    let field = sets.iter().find_map(field);
    Ok(Directive {
        contexts: places.map(|(_, (_, shown))| *shown).collect(),
        syntax: match (kind.as_str(), form) {
            (_, Some(Form::Block)) => Some(match kind.as_str() {
                "Variable" => "$variable { lua-code }",
                _ => "{ lua-code }",
            }),
            ("Variable", Some(Form::File)) => Some("$variable path [argument ...];"),
            ("Variable", Some(Form::Inline)) => Some("$variable lua-code [argument ...];"),
            (_, Some(Form::File)) => Some("path;"),
            (_, Some(Form::Inline)) => Some("lua-code;"),
            ("Flag" | "MainFlag", _) => Some("on | off;"),
            ("Msec" | "MainMsec", _) => Some("time;"),
            ("Size", _) => Some("size;"),
            ("Number" | "MainNumber", _) => Some("number;"),
            _ => None,
        },
        form,
        phase: phase(&kind, &sets, field.as_deref()),
        default: field.and_then(|field| default(&kind, &field, values)),
        name,
    })
}

/// The name and the arguments of `Sets::NAME(…)`.
fn call(expr: &Expr) -> Option<(String, Vec<Expr>)> {
    let Expr::Call(call) = expr else { return None };
    let Expr::Path(path) = &*call.func else { return None };
    let name = path.path.segments.last()?.ident.to_string();
    Some((name, call.args.iter().cloned().collect()))
}

fn form(expr: &Expr) -> Option<Form> {
    let Expr::Path(path) = expr else { return None };
    match shown(&path.path).as_str() {
        "Form::Inline" => Some(Form::Inline),
        "Form::Block" => Some(Form::Block),
        "Form::File" => Some(Form::File),
        _ => None,
    }
}

/// `field` in `|values| &mut values.field`.
fn field(expr: &Expr) -> Option<String> {
    let Expr::Closure(closure) = expr else { return None };
    let Expr::Reference(reference) = &*closure.body else { return None };
    match &*reference.expr {
        Expr::Field(syn::ExprField { member: syn::Member::Named(name), .. }) => {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn phase(kind: &str, sets: &[Expr], field: Option<&str>) -> Option<&'static str> {
    let named = |name: &str| {
        let row = PHASES.iter().find(|row| format!("Phase::{:?}", row.phase) == name);
        row.map(|row| row.phase.context_name())
    };
    match (kind, field) {
        ("Variable", _) => Some(Phase::Set.context_name()),
        ("Balancer", _) => Some(Phase::Balancer.context_name()),
        ("Hook", Some("init")) => Some(INIT),
        ("Hook", Some("init_worker")) => Some(Phase::InitWorker.context_name()),
        ("Hook", Some("exit_worker")) => Some(Phase::ExitWorker.context_name()),
        _ => sets.iter().find_map(|expr| match expr {
            Expr::Path(path) => named(&shown(&path.path)),
            _ => None,
        }),
    }
}

/// The literal in `.FIELD.unwrap_or(LITERAL)` or `.FIELD.map_or(LITERAL, …)`, as nginx writes it.
fn default(kind: &str, field: &str, values: &str) -> Option<String> {
    let after = [format!(".{field}.unwrap_or("), format!(".{field}.map_or(")]
        .iter()
        .find_map(|call| values.split_once(call).map(|(_, after)| after))?;
    let literal = after.split([')', ',']).next()?.replace('_', "");
    match (kind, literal.parse::<u64>()) {
        ("Flag" | "MainFlag", _) => Some(if literal == "true" { "on" } else { "off" }.into()),
        ("Msec", Ok(milliseconds)) => Some(format!("{}s", milliseconds / 1000)),
        (_, Ok(number)) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "const MAIN: u32 = NGX_HTTP_MAIN_CONF;
        const SERVER: u32 = MAIN | NGX_HTTP_SRV_CONF;
        const fn row(name: &CStr, place: u32, takes: u32, sets: Sets) -> D { D { name } }
        const fn msec(name: &CStr, field: F) -> D { row(name, SERVER, NGX_CONF_TAKE1, Sets::Msec(field)) }
        pub static DIRECTIVES: &[D] = &[
            msec(c\"wait\", |l| &mut l.wait),
            #[cfg(x)]
            row(c\"code\", MAIN, BLOCK, Sets::Code(Form::Block, Phase::Access)),
        ];";

    #[test]
    fn rows_are_read() {
        let rows = rows(SOURCE, "self.wait.unwrap_or(60_000)").unwrap();
        let [wait, code] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((wait.name.as_str(), wait.syntax), ("wait", Some("time;")));
        assert_eq!(wait.contexts, ["http", "server"]);
        assert_eq!(wait.default.as_deref(), Some("60s"));
        assert_eq!(code.contexts, ["http"]);
        assert_eq!((code.form, code.phase), (Some(Form::Block), Some("access_by_lua*")));
    }

    #[test]
    fn the_table_is_read() {
        let table = table().unwrap();
        assert!(table.len() > 80, "{} rows are not the whole table", table.len());
        let defaults = table.iter().filter(|row| row.default.is_some()).count();
        assert!(defaults > 18, "{defaults} defaults");
        for row in table {
            assert!(!row.contexts.is_empty(), "{}", row.name);
            assert_eq!(row.form.is_some(), row.phase.is_some(), "{}", row.name);
        }
    }
}

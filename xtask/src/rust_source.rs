//! Values that the module's source writes as constant expressions, computed from its syntax tree:
//! the places of a directive, the phases of a function.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use syn::visit::{self, Visit};
use syn::{Expr, GenericArgument, Item, ItemConst, Pat, Stmt, Type};

/// The constants of files, those inside of functions too, by their names.
#[derive(Default)]
pub struct Constants(HashMap<String, Expr>);

impl Constants {
    pub fn of(file: &syn::File) -> Constants {
        let mut found = Constants::default();
        found.visit_file(file);
        found
    }

    /// The value of `expr`, a set of bits; `leaf` knows the paths that are no constant of the file.
    pub fn bits(&self, expr: &Expr, leaf: &dyn Fn(&str) -> Option<u32>) -> Result<u32> {
        let value = |expr: &Expr| self.bits(expr, leaf);
        match expr {
            Expr::Path(path) => {
                let path = shown(&path.path);
                match (leaf(&path), self.0.get(&path)) {
                    (Some(bits), _) => Ok(bits),
                    (None, Some(constant)) => value(constant),
                    (None, None) => bail!("nobody knows {path}"),
                }
            }
            Expr::Binary(both) => {
                let (left, right) = (value(&both.left)?, value(&both.right)?);
                match both.op {
                    syn::BinOp::BitOr(_) => Ok(left | right),
                    syn::BinOp::BitAnd(_) => Ok(left & right),
                    _ => bail!("no operator of bits"),
                }
            }
            Expr::Unary(unary) => Ok(!value(&unary.expr)?),
            Expr::Field(field) => value(&field.base),
            Expr::Paren(inner) => value(&inner.expr),
            Expr::Reference(inner) => value(&inner.expr),
            Expr::Array(list) => list.elems.iter().try_fold(0, |all, e| Ok(all | value(e)?)),
            // `PhaseSet::of(&[…])`, `PhaseSet(…)`
            Expr::Call(call) => value(call.args.first().context("a call without arguments")?),
            Expr::MethodCall(call) => {
                let argument = value(call.args.first().context("a call without arguments")?)?;
                match call.method.to_string().as_str() {
                    "with" => Ok(value(&call.receiver)? | argument),
                    "without" => Ok(value(&call.receiver)? & !argument),
                    other => bail!("nobody knows the method {other}"),
                }
            }
            Expr::Block(block) => match block.block.stmts.as_slice() {
                [Stmt::Expr(expr, None)] => value(expr),
                _ => bail!("a block of several statements"),
            },
            _ => bail!("an expression of an unknown kind"),
        }
    }
}

impl<'ast> Visit<'ast> for Constants {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.0.insert(item.ident.to_string(), (*item.expr).clone());
        visit::visit_item_const(self, item);
    }
}

/// The path as it is written, without generic arguments: `PhaseSet::ALL`.
pub fn shown(path: &syn::Path) -> String {
    let words: Vec<String> = path.segments.iter().map(|word| word.ident.to_string()).collect();
    words.join("::")
}

/// A generic argument that is a constant: `{ PhaseSet::ALL.0 }`, or a plain `ALL`, which a parser
/// takes for a type.
pub fn constant_argument(argument: &GenericArgument) -> Option<Expr> {
    match argument {
        GenericArgument::Const(expr) => Some(expr.clone()),
        GenericArgument::Type(Type::Path(path)) => Some(Expr::Path(syn::ExprPath {
            attrs: Vec::new(),
            qself: None,
            path: path.path.clone(),
        })),
        _ => None,
    }
}

/// The text of a literal `c"…"`.
pub fn c_string(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::CStr(text), .. }) => {
            text.value().into_string().ok()
        }
        _ => None,
    }
}

/// A function that does nothing but call another one with its parameters and constants.
pub struct Shorthand {
    parameters: Vec<String>,
    call: syn::ExprCall,
}

/// The shorthands of a file, by their names.
pub fn shorthands(file: &syn::File) -> HashMap<String, Shorthand> {
    let functions = file.items.iter().filter_map(|item| match item {
        Item::Fn(function) => Some(function),
        _ => None,
    });
    let shorthand = |function: &syn::ItemFn| {
        let [Stmt::Expr(Expr::Call(call), None)] = function.block.stmts.as_slice() else {
            return None;
        };
        let parameters = function.sig.inputs.iter().filter_map(|input| match input {
            syn::FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(name) => Some(name.ident.to_string()),
                _ => None,
            },
            syn::FnArg::Receiver(_) => None,
        });
        let shorthand = Shorthand { parameters: parameters.collect(), call: call.clone() };
        Some((function.sig.ident.to_string(), shorthand))
    };
    functions.filter_map(shorthand).collect()
}

impl Shorthand {
    /// The call that `arguments` make of it.
    pub fn expanded(&self, arguments: &[Expr]) -> syn::ExprCall {
        let mut call = self.call.clone();
        let mut fill = Fill { names: &self.parameters, arguments };
        syn::visit_mut::VisitMut::visit_expr_call_mut(&mut fill, &mut call);
        call
    }
}

/// Puts arguments in the places of parameters.
struct Fill<'a> {
    names: &'a [String],
    arguments: &'a [Expr],
}

impl syn::visit_mut::VisitMut for Fill<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if let Expr::Path(path) = expr {
            let name = shown(&path.path);
            let at = self.names.iter().position(|known| *known == name);
            if let Some(argument) = at.and_then(|at| self.arguments.get(at)) {
                *expr = argument.clone();
                return;
            }
        }
        syn::visit_mut::visit_expr_mut(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: &str, expr: &str) -> Result<u32> {
        let file = syn::parse_file(source).unwrap();
        let leaf = |path: &str| match path {
            "A" => Some(1),
            "Phase::B" => Some(2),
            "C" => Some(4),
            _ => None,
        };
        Constants::of(&file).bits(&syn::parse_str(expr).unwrap(), &leaf)
    }

    #[test]
    fn constant_expressions_have_their_values() {
        let source = "const X: u32 = A | C; fn f() { const Y: Set = Set::of(&[A, Phase::B]); }";
        for (expr, bits) in [
            ("X", 5),
            ("{ Y.0 }", 3),
            ("X.without(A).0", 4),
            ("A.with(Phase::B)", 3),
            ("Set(X & !A)", 4),
        ] {
            assert_eq!(value(source, expr).unwrap(), bits, "{expr}");
        }
        assert!(value(source, "Z").is_err());
        assert!(value(source, "A + C").is_err());
    }

    #[test]
    fn shorthands_are_expanded() {
        let source = "const fn flag(n: &str, f: F) -> R { row(n, PLACE, Sets::Flag(f)) }";
        let shorthands = shorthands(&syn::parse_file(source).unwrap());
        let call = shorthands["flag"].expanded(&[
            syn::parse_str("c\"x\"").unwrap(),
            syn::parse_str("|l| &mut l.y").unwrap(),
        ]);
        let expected = "row(c\"x\", PLACE, Sets::Flag(|l| &mut l.y))";
        assert_eq!(Expr::Call(call), syn::parse_str(expected).unwrap());
    }
}

//! `#[export]`: makes a function a C symbol of this module, with a panic guard around its body.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it runs in the compiler")]

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Exports an `extern "C"` function by its name. If its body panics, the function returns its
/// type's fall-back value (`api::ffi::Fallback`), and the worker lives.
///
/// - `#[export(value)]`: the fall-back value is `value`.
/// - `#[export(unguarded = "reason")]`: no guard, for a body that cannot panic (the reason says
///   why, unless it is obvious) and is called so often that the guard would cost too much.
#[proc_macro_attribute]
pub fn export(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut signature: Vec<TokenTree> = function.into_iter().collect();
    let body = match signature.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        _ => return code("compile_error!(\"a function with a body is exported\");"),
    };
    let body = if is_unguarded(&arguments) { body } else { guarded(arguments, &signature, body) };
    let mut exported = code("#[unsafe(no_mangle)]");
    exported.extend(signature);
    exported.extend([TokenTree::Group(body)]);
    exported
}

fn is_unguarded(arguments: &TokenStream) -> bool {
    let first = arguments.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(word)) if word.to_string() == "unguarded")
}

/// `{ guard(fallback, move || -> Type { … }) }`
fn guarded(fallback: TokenStream, signature: &[TokenTree], body: Group) -> Group {
    let mut arguments = match fallback.is_empty() {
        true => code("crate::api::ffi::Fallback::FALLBACK"),
        false => fallback,
    };
    arguments.extend(code(", move || -> "));
    arguments.extend(returned(signature));
    arguments.extend([TokenTree::Group(body)]);
    let mut call = code("crate::nginx::guard");
    call.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, arguments))]);
    Group::new(Delimiter::Brace, call)
}

/// The type behind the arrow.
fn returned(signature: &[TokenTree]) -> TokenStream {
    let is = |token: Option<&TokenTree>, wanted: char| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == wanted);
    let arrow = (0..signature.len())
        .find(|at| is(signature.get(*at), '-') && is(signature.get(at + 1), '>'));
    match arrow.and_then(|at| signature.get(at + 2..)) {
        Some(of_type) => of_type.iter().cloned().collect(),
        None => code("()"),
    }
}

fn code(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}

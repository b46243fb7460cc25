//! `#[export]` makes a function a C symbol of this module, `#[callback]` one that C code gets a
//! pointer to. Both put a panic guard around its body.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it runs in the compiler")]

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Exports an `extern "C"` function by its name. If its body panics, the function returns its
/// type's fall-back value (`api::ffi::Fallback`), and the worker lives.
///
/// - `#[export(value)]`: the fall-back value is `value`.
/// - `#[export(unguarded = "reason")]`: no guard, for a body that cannot panic, as the reason says,
///   and is called so often that the guard would cost too much.
#[proc_macro_attribute]
pub fn export(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut exported = code("#[unsafe(no_mangle)]");
    exported.extend(entry(arguments, function, "crate::api::ffi::Fallback::FALLBACK"));
    exported
}

/// Puts the same guard around an `extern "C"` function that nginx, OpenSSL, the system or this
/// module's own Lua code calls by a pointer. Without a fall-back value, it must return nothing.
///
/// - `#[callback(value)]`: the fall-back value is `value`.
/// - `#[callback(unguarded = "reason")]`: no guard, for a body that cannot panic, or has guards of
///   its own.
#[proc_macro_attribute]
pub fn callback(arguments: TokenStream, function: TokenStream) -> TokenStream {
    entry(arguments, function, "()")
}

/// `function` with a guard around its body; without arguments, `default` is the fall-back value.
fn entry(arguments: TokenStream, function: TokenStream, default: &str) -> TokenStream {
    let mut entry: Vec<TokenTree> = function.into_iter().collect();
    let body = match entry.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        _ => return code("compile_error!(\"C code calls a function with a body\");"),
    };
    let body = match (is_unguarded(&arguments), arguments.is_empty()) {
        (true, _) => body,
        (false, true) => guarded(code(default), &entry, body),
        (false, false) => guarded(arguments, &entry, body),
    };
    entry.push(TokenTree::Group(body));
    entry.into_iter().collect()
}

/// Whether the arguments are `unguarded = "reason"`.
fn is_unguarded(arguments: &TokenStream) -> bool {
    let mut tokens = arguments.clone().into_iter();
    let is_word =
        matches!(tokens.next(), Some(TokenTree::Ident(word)) if word.to_string() == "unguarded");
    is_word && matches!(tokens.nth(1), Some(TokenTree::Literal(_)))
}

/// `{ guard(fallback, move || -> Type { … }) }`; `arguments` is the fall-back value.
fn guarded(mut arguments: TokenStream, signature: &[TokenTree], body: Group) -> Group {
    arguments.extend(code(", move || -> "));
    arguments.extend(returned(signature));
    arguments.extend([TokenTree::Group(body)]);
    let mut call = code("crate::nginx::guard");
    call.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, arguments))]);
    Group::new(Delimiter::Brace, call)
}

/// The type behind the arrow that follows the parameters.
fn returned(signature: &[TokenTree]) -> TokenStream {
    let is_mark = |token: &TokenTree, wanted: char| matches!(token, TokenTree::Punct(mark) if mark.as_char() == wanted);
    let is_word = |token: &TokenTree, wanted: &str| matches!(token, TokenTree::Ident(word) if word.to_string() == wanted);
    // After the name come the generic parameters, whose bounds may have arrows of their own.
    let mut depth = 0;
    let mut tokens = signature.iter().skip_while(|token| !is_word(token, "fn")).peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(_) if depth == 0 => break,
            token if is_mark(token, '<') => depth += 1,
            token if is_mark(token, '>') => depth -= 1,
            token if is_mark(token, '-') => drop(tokens.next_if(|next| is_mark(next, '>'))),
            _ => {}
        }
    }
    match (tokens.next(), tokens.next()) {
        (Some(dash), Some(head)) if is_mark(dash, '-') && is_mark(head, '>') => {
            tokens.take_while(|token| !is_word(token, "where")).cloned().collect()
        }
        _ => code("()"),
    }
}

fn code(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
